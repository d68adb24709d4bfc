"""From a corpus to a data directory of synthetic speech."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import yaml

from espnet_otreg.data.digests import read_digests
from espnet_otreg.data.kaldi_dir import Utterance, read_data_dir, write_data_dir
from espnet_otreg.data.synthesis.config import parse_synthesis, read_synthesis
from espnet_otreg.data.synthesis.plan import plan_speech
from espnet_otreg.data.validate import require_valid
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.files import sha256_file

ENGLISH = [
    f"the {size} {animal} {verb} today"
    for size in ("small", "large", "old", "young", "red")
    for animal in ("dog", "cat", "horse", "bird", "fox", "cow", "duck", "goat")
    for verb in ("runs", "sleeps", "eats", "sings", "waits", "swims")
]
READERS = [
    {"engine": "pico", "share": 2},
    {"engine": "espeak", "voices": ["en-us"], "variants": ["f2"]},
]
SETTINGS = {"languages": {"en": {"sentences": 230, "readers": READERS}}, "seed": 3}


def make_inputs(place: Path, settings: dict[str, object] = SETTINGS) -> list[str]:
    """A corpus, a test set that has the first of its sentences, and the command's options."""
    (place / "text").mkdir()
    (place / "text/en.txt").write_text("\n".join([*ENGLISH, "in 1984 3D x", "w " * 30]))
    (place / "synthesis.yaml").write_text(yaml.safe_dump(settings))
    test = [Utterance("it_1", "a.wav", ENGLISH[0], ENGLISH[0], "en", "mary", "told")]
    write_data_dir(place / "test", test)
    words = ["--config", f"{place}/synthesis.yaml", "--corpus", f"{place}/text"]
    return [*words, "--exclude", f"{place}/test", "--output", f"{place}/synthetic", "--nj", "2"]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "espnet_otreg.bin.synthesize", *words]


def content(directory: Path) -> dict[str, str]:
    """Digests of all that a run leaves."""
    return {
        str(path.relative_to(directory)): sha256_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.timeout(300)
def test_a_killed_run_goes_on_and_makes_the_same_files(tmp_path: Path) -> None:
    words = command(*make_inputs(tmp_path))
    output = tmp_path / "synthetic"
    whole = subprocess.run(words, capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    assert "pico en-US en-GB: Apache-2.0: SVOX AG" in whole.stdout
    expected = content(output)
    output.rename(tmp_path / "first")

    running = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while len(list(output.glob("wavs/*/*.wav"))) < 130:
        time.sleep(0.02)
        assert running.poll() is None
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (output / "text").exists()
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert content(output) == expected

    utterances = read_data_dir(output)
    require_valid(output, [])
    assert len(utterances) == 230 and ENGLISH[0] not in {u.text for u in utterances}
    speakers = {u.speaker for u in utterances}
    assert speakers == {"pico_en-US", "pico_en-GB", "espeak_en-us", "espeak_en-us-f2"}
    assert {(u.speaker.split("_")[0], u.domain) for u in utterances} == {
        ("pico", "synthetic_pico"), ("espeak", "synthetic_espeak"),
    }  # fmt: skip
    by_pico = sum(u.domain == "synthetic_pico" for u in utterances) / 230
    assert by_pico == pytest.approx(2 / 3, abs=0.1)
    assert {soundfile.info(u.wav).samplerate for u in utterances} == {16000}
    digests = read_digests(output)
    assert (
        digests[utterances[0].utterance_id]
        == hashlib.sha256(Path(utterances[0].wav).read_bytes()).hexdigest()
    )


def test_more_sentences_begin_with_the_same_ones(tmp_path: Path) -> None:
    make_inputs(tmp_path)
    config = read_synthesis(tmp_path / "synthesis.yaml")
    plan = plan_speech(config, {"en": ENGLISH}, {"en": {ENGLISH[0]}})
    larger = {**SETTINGS, "languages": {"en": {"hours": 0.5, "readers": READERS}}, "readings": 5}
    errors: list[str] = []
    more = parse_synthesis(larger, errors)
    assert more is not None, errors
    long = plan_speech(more, {"en": ENGLISH}, {"en": {ENGLISH[0]}})
    assert long.utterances[:230] == plan.utterances and not long.short
    assert sum(u.seconds for u in long.utterances) == pytest.approx(1800, abs=5)
    assert len({u.utterance_id for u in long.utterances}) == len(long.utterances)
    assert len({u.voice for u in long.utterances if u.text == ENGLISH[1]}) > 1
    assert all(0.8 <= u.speed <= 1.3 and 0.8 <= u.pitch <= 1.25 for u in long.utterances)
    with_pause = sum("," in u.said for u in long.utterances) / len(long.utterances)
    assert with_pause == pytest.approx(0.3, abs=0.07)
    once = parse_synthesis({**larger, "readings": 1}, errors)
    assert once is not None and plan_speech(once, {"en": ENGLISH}, {}).short["en"] < 1


def test_a_voice_of_a_test_set_never_trains(tmp_path: Path) -> None:
    readers = [{"engine": "espeak", "voices": ["it"], "variants": ["f1"]}, {"engine": "pico"}]
    settings = {"languages": {"it": {"sentences": 3, "readers": readers}}}
    words = make_inputs(tmp_path, settings)
    sentence = "una papera nuota"
    tested = [
        Utterance(f"{speaker}_1", "a.wav", sentence, sentence, "it", speaker, "synthetic")
        for speaker in ("it_espeak", "it_pico_cm0")
    ]
    write_data_dir(tmp_path / "test", tested)
    refused = subprocess.run(command(*words), capture_output=True, text=True)
    assert refused.returncode == 1 and not (tmp_path / "synthetic").exists()
    test = tmp_path / "test"
    assert refused.stderr == (
        f"error: synthesis: a voice of a test set must not train: espeak it, which reads {test}; "
        f"pico it-IT, which reads {test}; take other voices for that language, or leave the set "
        "out\n"
    )


def test_all_mistakes_of_the_settings_come_at_once(tmp_path: Path) -> None:
    settings = {
        "languages": {
            "en": {"hours": 1, "sentences": 2, "readers": [{"engine": "espaek"}]},
            "fr": {"hours": 1, "readers": [{"engine": "flite"}, {"engine": "mbrola", "share": 0}]},
            "it": {"readers": [{"engine": "pico", "variants": ["f1"]}], "hours": -1},
            "xx": {},
        },
        "speed": [0.1, 3.0],
        "pitches": [1.0, 1.0],
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigErrors) as caught:
        read_synthesis(tmp_path / "a.yaml")
    assert caught.value.errors == [
        "synthesis.pitches: unknown key; did you mean 'pitch'?",
        "languages.en.hours: give either hours or sentences",
        "languages.fr.readers.0.engine: flite does not speak fr; those that do: espeak, mbrola, "
        "pico",
        "languages.fr.readers.1.share: must be positive, found 0",
        "languages.it.hours: must be positive, found -1",
        "languages.xx: no voice speaks it; known: bg, ca, cs, da, de, el, en, es, et, fi, fr, hr, "
        "hu, it, lt, lv, nl, pl, pt, ro, ru, sk, sl, sv, tr, uk",
    ]


def test_restricted_voices_are_for_those_who_accept_their_terms(tmp_path: Path) -> None:
    readers = [{"engine": "mbrola", "voices": ["fr1"]}]
    settings = {"languages": {"fr": {"sentences": 3, "readers": readers}}}
    errors: list[str] = []
    assert parse_synthesis(settings, errors) is None
    assert "the terms of mbrola's voices are not free; read them and set accept" in errors[0]
    assert parse_synthesis(settings, errors := [], accept_licence=True) is not None
    assert parse_synthesis({**settings, "accept_licence": True}, errors := []) is not None
