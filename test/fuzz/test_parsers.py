"""Whatever a file holds, its reader accepts it or says in one sentence what is wrong.

100 inputs for each of fifteen readers; ``tools/nightly.sh`` tries 10,000 for each.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import wave
from pathlib import Path
from typing import Any

import kaldiio
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from odd_audio import odd_recordings

from espnet_otreg.data import archives
from espnet_otreg.data.ark import FeatureTable, read_description, read_features
from espnet_otreg.data.audio import Policy, read_declared
from espnet_otreg.data.audio.source import Source
from espnet_otreg.data.kaldi_dir import read_data_dir, read_table
from espnet_otreg.data.mark_rules import ACTIONS, MarkRule, read_mark_rules
from espnet_otreg.data.marks import take_marks
from espnet_otreg.data.sources import SOURCES
from espnet_otreg.data.transcripts import Dropped, spoken_words, strip_notes
from espnet_otreg.data.validate import AudioChecks, validate_data
from espnet_otreg.errors import UserError
from espnet_otreg.recipe.facts import command_settings
from espnet_otreg.tasks.train_config import check_train_arguments

REFUSED = (UserError, OSError)  # which run_main turns into a sentence
LANGUAGES = ("en", "es", "fr", "it", "ru", "de", "zh", "tr")

# Lines that are nearly right, and bytes that are nothing at all.
words = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["en_a", "en_b", "|", "a.ark:12", "a.wav", "\t", "\r", "\0", "\ufeff", "é", "1e9", "nan", "en"]
)
lines = st.lists(words, max_size=4).map(" ".join)
texts = st.lists(lines, max_size=6).map("\n".join)
contents = texts.map(lambda text: text.encode("utf-8")) | st.binary(max_size=60)


def mutated(good: bytes) -> st.SearchStrategy[bytes]:
    """A good file with some bytes changed, and perhaps cut off."""
    changes = st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=4)

    def apply(found: list[tuple[int, int]], length: int) -> bytes:
        content = bytearray(good)
        for place, byte in found:
            content[place] = byte
        return bytes(content[:length])

    lengths = st.just(len(good)) | st.integers(0, len(good))
    return st.builds(apply, changes, lengths)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(content=contents)
def test_tables(place: Path, content: bytes) -> None:
    (place / "text").write_bytes(content)
    with contextlib.suppress(*REFUSED):
        table = read_table(place / "text")
        assert list(table) == sorted(table)


def _wav(path: Path) -> bytes:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(200))
    return path.read_bytes()


@given(data=st.data(), tables=st.lists(contents, min_size=5, max_size=5))
def test_data_directories(place: Path, data: st.DataObject, tables: list[bytes]) -> None:
    directory = place / "data"
    directory.mkdir(exist_ok=True)
    wav = directory / "a.wav"
    wav.write_bytes(data.draw(mutated(_wav(wav))))
    names = ("text", "utt2lang", "utt2spk", "utt2dur", "segments")
    for name, content in zip(names, tables, strict=True):
        (directory / name).write_bytes(content)
    if data.draw(st.booleans()):
        (directory / "segments").unlink()
    (directory / "wav.scp").write_bytes(f"en_a {wav}\n".encode() + data.draw(contents))
    errors = validate_data(directory, AudioChecks(decode=True, max_seconds=10.0))
    assert all(error and "\n" not in error for error in errors)


@given(tables=st.lists(contents, min_size=6, max_size=6))
def test_data_directories_of_ours(place: Path, tables: list[bytes]) -> None:
    directory = place / "ours"
    directory.mkdir(exist_ok=True)
    names = ("wav.scp", "text", "text.raw", "utt2lang", "utt2spk", "utt2domain")
    for name, content in zip(names, tables, strict=True):
        (directory / name).write_bytes(content)
    with contextlib.suppress(*REFUSED):
        ids = [utterance.utterance_id for utterance in read_data_dir(directory)]
        assert ids == sorted(set(ids))


@given(text=st.text(max_size=40) | lines, language=st.sampled_from(LANGUAGES))
def test_transcripts(text: str, language: str) -> None:
    with contextlib.suppress(Dropped, *REFUSED):
        spoken = spoken_words(strip_notes(text), language)
        assert any(character.isalpha() for character in spoken)


MARKS = "[noise] <unk> (()) ((so)) (so) {a [b] ] } <|x|> wor- th[at]- %um &=x *a* +b+ <COMMA> go ok"


@given(
    pieces=st.lists(st.sampled_from(MARKS.split()) | words, max_size=6),
    rules=st.lists(st.builds(MarkRule, words.filter(str.strip), st.sampled_from(ACTIONS), words)),
)
def test_marks_in_transcripts(pieces: list[str], rules: list[MarkRule]) -> None:
    marked = take_marks(" ".join(pieces), rules)
    assert all(mark.strip() for mark in marked.unknown)
    if not rules and not marked.unknown:
        assert not set("[]{}") & set(marked.text)


@given(text=st.text(max_size=30) | lines | st.sampled_from(["it's l'été, so.", "a .b ,c", "Xxx"]))
def test_plain_transcripts_are_read_as_others(text: str) -> None:
    assert take_marks(text) == take_marks(text, [MarkRule("[never said]", "remove")])


@given(content=contents)
def test_files_of_mark_rules(place: Path, content: bytes) -> None:
    (place / "marks").write_bytes(content)
    with contextlib.suppress(*REFUSED):
        assert all(rule.action in ACTIONS for rule in read_mark_rules(place / "marks"))


NUMBERS = "en 12,5 % 1.000.000 3rd 1980s 0x1F ½ ٣ ² Ⅷ -5 7:30 24/7 1e5 № 10⁻³ 5'6\""


@given(
    parts=st.lists(st.sampled_from(NUMBERS.split()) | st.from_regex(r"\d{1,30}[.,:]?\d*")),
    language=st.sampled_from(LANGUAGES),
)
def test_numbers_in_transcripts(parts: list[str], language: str) -> None:
    with contextlib.suppress(Dropped, *REFUSED):
        assert not any(c.isdigit() for c in spoken_words(" ".join(parts), language))


def _archive(path: Path, **options: Any) -> bytes:
    kaldiio.save_ark(str(path), {"a": np.ones((3, 4), np.float32)}, **options)
    return path.read_bytes()


@given(data=st.data(), compression=st.sampled_from([None, 1, 2, 3, 5]))
def test_archives(place: Path, data: st.DataObject, compression: int) -> None:
    path = place / "feats.ark"
    good = _archive(path, **({"compression_method": compression} if compression else {}))
    path.write_bytes(data.draw(mutated(good)))
    with contextlib.suppress(UserError):
        features = read_features(f"{path}:{data.draw(st.just(2) | st.integers(0, 99))}", "a")
        assert features.ndim == 2 and np.isfinite(features).all()


@given(place_in_archive=words | st.from_regex(r"feats.ark:[0-9]{1,30}"))
def test_places_in_archives(place: Path, place_in_archive: str) -> None:
    with contextlib.suppress(UserError):
        (place / "feats.scp").write_text(f"a {place_in_archive}\n", encoding="utf-8")
        assert FeatureTable(place / "feats.scp")["a"].ndim == 2


@given(data=st.data())
def test_recordings(data: st.DataObject) -> None:
    odd = data.draw(
        st.sampled_from([odd for odd in odd_recordings() if 0 < len(odd.content) < 2**15])
    )
    content = data.draw(mutated(odd.content))
    with contextlib.suppress(UserError):
        source = Source(content, odd.name, Path(odd.name).suffix)
        samples, _ = read_declared(source, Policy(16000))
        assert samples.ndim == 1 and np.isfinite(samples).all() and len(samples)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(value=json_values, facts=st.dictionaries(st.sampled_from(["dim", "frame_seconds"]),
                                                json_values), junk=contents)  # fmt: skip
def test_descriptions_of_features(place: Path, value: Any, facts: Any, junk: bytes) -> None:
    for content in (json.dumps(value).encode(), json.dumps(facts).encode(), junk):
        (place / "feats.json").write_bytes(content)
        with contextlib.suppress(*REFUSED):
            assert read_description(place / "feats.json")["dim"] >= 1


def _tarball(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


SOURCE = SOURCES["core_sounds_it"]
NAMES_IN_ARCHIVES = (
    "core-sounds-it.txt", "core-sounds-it.txt.gz", "digits/1.g722", "../1.g722", "/1.g722",
    "digits/../../1.g722", "usr/share/asterisk/sounds/../1.g722", "./../core-sounds-it.txt",
)  # fmt: skip


@given(data=st.data(), name=st.sampled_from(NAMES_IN_ARCHIVES), as_deb=st.booleans())
def test_archives_of_corpora(place: Path, data: st.DataObject, name: str, as_deb: bool) -> None:
    good = _tarball(name, b"1: uno\n" * 9)
    if as_deb:
        header = f"{'data.tar.gz':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(good):<10}`\n"
        good = b"!<arch>\n" + header.encode() + good + b"\n" * (len(good) % 2)
    path = place / "packed" / ("a.deb" if as_deb else "a.tar.gz")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data.draw(mutated(good)))
    inside = place / "packed/inside"
    with contextlib.suppress(UserError):
        archives.extract([path], SOURCE, inside)
    unpacked = [p for p in place.rglob("*") if p.name.endswith((".g722", ".txt"))]
    assert all(inside in p.parents for p in unpacked)


GOOD_YAML = b"""projector: stack_mlp
projector_conf: {stack: 3, width: 24}
llm_conf:
  model: exp/llm
regularizers:
  - otreg: {weight: 0.3, start_step: 2}
best_model_criterion: [[valid, loss, min]]
since: 2026-01-01
text: !!str 5
"""


@given(content=mutated(GOOD_YAML) | contents)
def test_configurations(place: Path, content: bytes) -> None:
    path = place / "train.yaml"
    path.write_bytes(content)
    with contextlib.suppress(*REFUSED):
        check_train_arguments(["--config", str(path)], data=False)
    with contextlib.suppress(*REFUSED):
        command_settings(["python", "-m", "slm_train", "--config", str(path)])


KEYS = (
    "encoder encoder_conf frontend frontend_conf specaug normalize projector projector_conf "
    "llm_conf prompt_conf compression_conf readout_conf model_conf regularizers train freeze "
    "optim optim_conf scheduler scheduler_conf batch_type best_model_criterion init_param "
    "train_shape_file train_data_path_and_name_and_type"
).split()
NAMES = st.sampled_from(
    "model otreg ctc weight stack width epsilon precomputed hf_whisper conformer specaug".split()
)
yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | words, inner, max_size=3),
    max_leaves=6,
)


@given(values=st.dictionaries(st.sampled_from(KEYS) | words, yaml_values, max_size=5))
def test_values_in_configurations(place: Path, values: dict[str, Any]) -> None:
    path = place / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with contextlib.suppress(*REFUSED):
        check_train_arguments(["--config", str(path)])
