"""Every command and SpeechLM use the same recordings, and the same samples of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from audio_model import write_audio_model
from odd_audio import odd_recordings, table, table_in_docs, write_corpus
from odd_common import REFUSED, TOO_LONG

from espnet_otreg.bin import slm_transcribe
from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.data.validate import AudioChecks, DataErrors, validate_data
from espnet_otreg.decoding.data import read_data_set
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.run import decode_sets, load_speech
from espnet_otreg.errors import UserError
from espnet_otreg.inference.speech_lm import SpeechLM
from espnet_otreg.objectives.training import set_objective
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.waveform import longest_samples, sound_reader

Outcomes = dict[str, tuple[str, int]]  # key -> decision and samples
ODD = {f"it_odd_{number:03d}": odd for number, odd in enumerate(odd_recordings())}
EXPECTED: Outcomes = {key: (odd.decision, odd.samples) for key, odd in ODD.items()}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the recordings are, by key."""
    found = write_corpus(tmp_path_factory.mktemp("odd"))
    return {key: found[odd.name] for key, odd in ODD.items()}


@pytest.fixture(scope="module")
def exp(tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training directory with an untrained model."""
    return write_audio_model(tmp_path_factory.mktemp("audio_model"), tiny_whisper)


@pytest.fixture(scope="module")
def model(exp: Path) -> Any:
    return load_model(exp)


@pytest.fixture
def heard(model: Any) -> Iterator[list[int]]:
    """Lengths of all waveforms that the encoder gets."""
    lengths: list[int] = []
    handle = model.encoder.register_forward_pre_hook(
        lambda module, inputs: lengths.extend(inputs[1].tolist())
    )
    yield lengths
    handle.remove()


def data_dir(directory: Path, paths: dict[str, Path], keys: Sequence[str]) -> Path:
    """A data directory of some recordings."""
    directory.mkdir()
    for name, values in (
        ("wav.scp", {key: paths[key] for key in keys}),
        ("text", dict.fromkeys(keys, "uno due tre")),
        ("utt2lang", dict.fromkeys(keys, "it")),
    ):
        (directory / name).write_text("".join(f"{key} {values[key]}\n" for key in keys))
    return directory


def outcomes(paths: dict[str, Path], samples: Callable[[str], int]) -> Outcomes:
    """What a reader does with each recording; a refusal names the file."""
    found = {}
    for key, path in paths.items():
        try:
            found[key] = ("used", samples(key))
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error), str(error)
            found[key] = (TOO_LONG if "lasts 31.0 s, more than the" in str(error) else REFUSED, 0)
    return found


def used_keys() -> list[str]:
    return [key for key, odd in ODD.items() if odd.decision == "used"]


def test_the_corpus_is_as_odd_as_it_should_be() -> None:
    odds = ODD.values()
    assert len(odds) >= 60
    assert {Path(odd.name).suffix for odd in odds} >= {
        ".wav", ".w64", ".aiff", ".au", ".caf", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".webm",
        ".amr", ".g722", ".aac",
    }  # fmt: skip
    assert {odd.decision for odd in odds} == {"used", REFUSED, TOO_LONG}


def refusals(errors: Sequence[str], paths: dict[str, Path]) -> Outcomes:
    """The utterances that sentences refuse, each of which names the file, too."""
    found: Outcomes = {}
    for error in errors:
        (key,) = re.findall(r"utterance '(\w+)'", error)
        is_long = "is 31.0 s long, more than 30 s" in error
        assert is_long or str(paths[key]) in error, error
        found[key] = (TOO_LONG if is_long else REFUSED, 0)
    return found


def test_validate_data(paths: dict[str, Path], tmp_path: Path) -> None:
    data, notices = data_dir(tmp_path / "data", paths, list(paths)), []
    found = refusals(validate_data(data, AudioChecks(True, max_seconds=30.0), (), notices), paths)
    assert {key: found.get(key, ("used", 0))[0] for key in paths} == {
        key: odd.decision for key, odd in ODD.items()
    }
    unseen = {
        ODD[key].name
        for notice in notices
        for key in re.findall(r"utterance '(\w+)': length not declared", notice)
    }
    assert unseen >= {"raw.mp3", "true.aac", "true.amr", "true.g722", "pipe_sox.wav", "live.webm"}
    assert not unseen & {"true.mp3", "true.flac", "wav_16.wav", "true.m4a", "vorbis.ogg"}


def test_format_data(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Outcomes = {}
    for attempt in range(3):  # a refusal while reading comes before one while converting
        keys = [key for key in paths if key not in found]
        data = data_dir(tmp_path / str(attempt), paths, keys)
        try:
            report = format_data(data, tmp_path / "dump", min_duration=0.0)
        except DataErrors as error:
            found |= refusals(error.errors, paths)
    found |= dict.fromkeys(report.dropped["too_long"], (TOO_LONG, 0))
    counts = read_table(tmp_path / "dump/utt2num_samples")
    found |= {key: ("used", int(count)) for key, count in counts.items()}
    assert found == EXPECTED
    assert "recordings of 8000, 11025, 22050, 44100, 48000 Hz are" in capsys.readouterr().err


def test_training(
    exp: Path, model: Any, paths: dict[str, Path], heard: list[int], tmp_path: Path
) -> None:
    from espnet2.train.collate_fn import CommonCollateFn
    from espnet2.train.dataset import ESPnetDataset

    from espnet_otreg.tasks.preprocessor import SLMPreprocessor
    from espnet_otreg.tasks.slm import read_sound_with

    config = yaml.safe_load((exp / "config.yaml").read_text())
    read_sound_with(sound_reader(config))
    data = data_dir(tmp_path / "data", paths, list(paths))
    files = [(str(data / "wav.scp"), "speech", "sound"), (str(data / "text"), "text", "text"),
             (str(data / "utt2lang"), "language", "text")]  # fmt: skip
    dataset = ESPnetDataset(files, SLMPreprocessor(True, config["llm_conf"]["model"]))
    assert outcomes(paths, lambda key: len(dataset[key][1]["speech"])) == EXPECTED
    keys = sorted(used_keys(), key=lambda key: ODD[key].samples)
    trained = set_objective(load_model(exp)).train()
    trained.encoder.register_forward_pre_hook(
        lambda module, inputs: heard.extend(inputs[1].tolist())
    )
    optimizer = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=1e-3)
    for batch in (keys[:-1], keys[-1:]):
        names, tensors = CommonCollateFn(0.0, -1)([dataset[key] for key in batch])
        loss, _, _ = trained(**tensors, utt_id=names)
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss).all()
    assert heard == [ODD[key].samples for key in keys]


def test_slm_decode(
    exp: Path, model: Any, paths: dict[str, Path], heard: list[int], tmp_path: Path
) -> None:
    def samples(key: str) -> int:
        data = read_data_set(data_dir(tmp_path / key, paths, [key]), precomputed=False)
        batch = load_speech(data.utterances, False, longest=longest_samples(model))
        assert data.utterances[0].seconds == pytest.approx(ODD[key].samples / 16000, abs=1e-3)
        return int(batch.lengths[0])

    assert outcomes(paths, samples) == EXPECTED

    def decode(*directories: Path) -> None:
        sets, modes = list(map(str, directories)), configure_modes(["ctc"])
        decode_sets(str(exp), sets, modes, str(tmp_path / "out"))

    decode(data_dir(tmp_path / "all", paths, used_keys()))
    assert list(read_table(tmp_path / "out/ctc/all/text")) == used_keys()
    (long,) = (key for key, odd in ODD.items() if odd.decision == TOO_LONG)
    with pytest.raises(UserError, match=rf"utterance {long} \({paths[long]}\): .* lasts 31\.0 s"):
        decode(data_dir(tmp_path / "many", paths, [*used_keys()[:3], long]))


def test_speech_lm(model: Any, paths: dict[str, Path], heard: list[int]) -> None:
    lm = SpeechLM(model, None, {})

    def samples(key: str) -> int:
        heard.clear()
        lm.transcribe(str(paths[key]), "it", mode="ctc")
        return heard[0]

    assert outcomes(paths, samples) == EXPECTED
    (long,) = (str(paths[key]) for key, odd in ODD.items() if odd.decision == TOO_LONG)
    with pytest.raises(UserError, match=rf"4 of 4 \({long}\): the recording lasts 31.0 s"):
        lm.transcribe([*(str(paths[key]) for key in used_keys()[:3]), long], "it")


def test_slm_transcribe(
    exp: Path, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    files = list(map(str, paths.values()))
    options = ["--model_dir", str(exp), "--language", "it", "--mode", "ctc", "--format", "jsonl"]
    monkeypatch.setattr("sys.argv", ["slm_transcribe", *files, *options])
    refused = len(paths) - len(used_keys())
    with pytest.raises(UserError, match=f"{refused} of {len(paths)} recordings could not be"):
        slm_transcribe.main()
    output = capsys.readouterr()
    found: Outcomes = {}
    for key, line in zip(paths, output.out.splitlines(), strict=True):
        result = json.loads(line)
        if result.get("error"):
            is_long = "lasts 31.0 s" in result["error"]
            assert str(paths[key]) in result["error"] and result["error"] in output.err
            found[key] = (TOO_LONG if is_long else REFUSED, 0)
        else:
            # Durations are rounded to milliseconds.
            assert result["seconds"] == pytest.approx(ODD[key].samples / 16000, abs=6e-4)
            found[key] = ("used", ODD[key].samples)
    assert found == EXPECTED
    assert "are resampled to 16000 Hz, for instance" in output.err


def test_the_table_of_the_documentation() -> None:
    """Rewrite it with ``python test/support/odd_audio.py``."""
    assert table_in_docs() == table()
