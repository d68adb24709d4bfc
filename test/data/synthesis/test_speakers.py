"""Every engine speaks; what is said depends on the request alone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from espeakng_loader import get_data_path

from espnet_otreg.data.synthesis.catalogue import ENGINES, ESPEAK_VARIANTS, VOICES, voices_of
from espnet_otreg.data.synthesis.engines import ENGINE_CLASSES
from espnet_otreg.data.synthesis.request import Request
from espnet_otreg.data.synthesis.speaking import Speaker, prepare_voices
from espnet_otreg.errors import UserError

SENTENCES = {
    "en": "please call me back tomorrow morning",
    "fr": "la maison de ma grand-mère est près de la rivière",
    "it": "perché la città è così bella",
    "ru": "сегодня утром мы едем в деревню",
}


# tools/test_voices.sh has all engines there; tools/test.sh takes those that it finds.
VOICES_DIR = Path(os.environ["OTREG_VOICES"]) if "OTREG_VOICES" in os.environ else None


def installed(engine: str) -> list[tuple[str, str, str]]:
    """(engine, voice, text): one voice of each language that the engine has here."""
    engine_here = ENGINE_CLASSES[engine](VOICES_DIR)
    found = []
    for language, text in SENTENCES.items():
        names = [v.name for v in voices_of(engine, language) if engine_here.has(v.name)]
        found += [(engine, name, text) for name in names[:1]]
    return found


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if installed(engine)])
def test_an_engine_speaks_at_the_speed_that_is_asked_for(engine: str, tmp_path: Path) -> None:
    with Speaker(VOICES_DIR) as speaker:
        for number, (_, voice, text) in enumerate(installed(engine)):
            seconds = []
            for speed in (1.0, 1.5):
                path = tmp_path / f"{number}_{speed}.wav"
                answer = speaker.speak(Request(engine, voice, text, str(path), speed, rate=16000))
                assert answer.error == ""
                samples, rate = soundfile.read(path)
                assert (rate, samples.ndim) == (16000, 1)
                assert answer.seconds == len(samples) / 16000
                assert answer.peak == pytest.approx(np.abs(samples).max(), abs=1e-3)
                seconds.append(answer.seconds)
            assert 1 < seconds[0] < 6 and max(abs(samples)) > 0.1
            if voice != "cmu_us_slt_arctic_hts":  # it keeps its pace
                assert 0.6 < seconds[1] / seconds[0] < 0.85


def test_the_samples_depend_on_the_request_alone(tmp_path: Path) -> None:
    cases = [case for engine in ENGINES for case in installed(engine)[:1]]
    cases.append(("espeak", "it+f2", SENTENCES["it"]))  # a variant whose breath is noise
    assert len(cases) >= 3  # what pip installs

    def digests(order: list[tuple[str, str, str]]) -> dict[str, str]:
        found = {}
        with Speaker(VOICES_DIR) as speaker:
            for engine, voice, text in order:
                path = tmp_path / "speech.wav"
                assert not speaker.speak(Request(engine, voice, text, str(path), 1.1, 0.9)).error
                found[engine + voice] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    assert digests(cases) == digests(cases[::-1])


def test_all_voices_and_variants_of_espeak_are_there(tmp_path: Path) -> None:
    data = Path(get_data_path())
    assert {name for name in ESPEAK_VARIANTS if not (data / "voices/!v" / name).is_file()} == set()
    names = [voice.name for voice in VOICES.values() if voice.engine == "espeak"]
    with Speaker() as speaker:
        answers = {
            name: speaker.speak(Request("espeak", name, "no", str(tmp_path / "a.wav")))
            for name in names
        }
    assert {name: a.error for name, a in answers.items() if a.error or a.seconds < 0.1} == {}


def test_a_text_that_breaks_an_engine_costs_one_utterance(tmp_path: Path) -> None:
    path = str(tmp_path / "a.wav")
    with Speaker() as speaker:
        broken = speaker.speak(Request("espeak", "no-such-voice", "no", path))
        lost = speaker.speak(Request("espeak", "it", "no", str(tmp_path / "none/of/these.wav")))
        assert speaker.speak(Request("espeak", "it", "no", path)).error == ""
    assert broken.error == "ValueError: eSpeak NG has no voice no-such-voice"
    assert lost.error == ""  # missing directories are made


def test_what_an_engine_complains_of_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONVERBOSE", "1")  # more on standard error than a pipe holds
    with Speaker() as speaker:
        answer = speaker.speak(Request("pico", "it-IT", "uno", str(tmp_path / "a.wav")))
    assert answer.error == "" and answer.seconds > 0.1


def test_an_engine_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError) as caught:
        prepare_voices([("flite", "slt"), ("flite", "awb"), ("rhvoice", "anna")])
    assert str(caught.value) == (
        "voices that are not installed: flite slt, flite awb, rhvoice anna; apt install flite; "
        "apt install rhvoice rhvoice-russian (Debian's section non-free)"
    )
