"""SpeechLM takes what Python programs hold as recordings, and says in a sentence what it cannot."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from espnet_otreg.decoding.encoded import SpeechBatch
from espnet_otreg.decoding.modes import known_modes
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.errors import UserError
from espnet_otreg.inference import speech_lm as module
from espnet_otreg.inference.speech_lm import SpeechLM, Transcript
from espnet_otreg.slm.device import usable_device

Waveform = Any


class Decoder:
    """Looks like a decoder of torchcodec."""

    def __init__(self, samples: Waveform) -> None:
        self._samples = samples

    def get_all_samples(self) -> Any:
        return type("Samples", (), {"data": torch.tensor(self._samples)[None] / 32768,
                                    "sample_rate": 16000})  # fmt: skip


FORMS: dict[str, Callable[[Path, Waveform], Any]] = {
    "path": lambda path, samples: path,
    "name": lambda path, samples: str(path),
    "bytes": lambda path, samples: path.read_bytes(),
    "memory": lambda path, samples: io.BytesIO(path.read_bytes()),
    "file": lambda path, samples: open(path, "rb"),
    "int16": lambda path, samples: samples,
    "int32": lambda path, samples: samples.astype(np.int32) * 65536,
    "float64": lambda path, samples: samples / 32768.0,
    "column": lambda path, samples: samples[:, None],
    "tensor": lambda path, samples: torch.tensor(samples),
    "tensor (1, N)": lambda path, samples: torch.tensor(samples)[None] / 32768,
    "array": lambda path, samples: {"path": None, "array": samples, "sampling_rate": 16000},
    "list of samples": lambda path, samples: {"array": (samples / 32768.0).tolist(),
                                              "sampling_rate": 16000},
    "encoded": lambda path, samples: {"bytes": path.read_bytes(), "path": path.name},
    "where": lambda path, samples: {"bytes": None, "path": str(path)},
    "decoder": lambda path, samples: Decoder(samples),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_in_any_form(
    speech_lm: SpeechLM, recordings: list[Path], waveforms: list[Any], texts: list[str], form: str
) -> None:
    audio = FORMS[form](recordings[1], waveforms[1])
    assert speech_lm.transcribe(audio, "it") == texts[1]


def test_several_recordings(speech_lm: SpeechLM, recordings: list[Path], texts: list[str]) -> None:
    mixed = [recordings[0], recordings[1].read_bytes(), str(recordings[2])]
    for audio in (mixed, tuple(mixed), iter(mixed), (path for path in recordings)):
        assert speech_lm.transcribe(audio, "it") == texts
    assert speech_lm.transcribe(recordings[:1] * 2, "it") == texts[:1] * 2
    assert speech_lm.transcribe(recordings[:1], "it") == texts[:1]
    assert speech_lm.transcribe([], "it") == []
    assert speech_lm.transcribe((), []) == []
    assert speech_lm.transcribe(iter(()), "it") == []


@pytest.fixture
def batches(speech_lm: SpeechLM, monkeypatch: pytest.MonkeyPatch) -> list[SpeechBatch]:
    """What the model decodes together, written down on the way."""
    seen: list[SpeechBatch] = []
    recognize = Recognizer.__call__

    def recognize_and_tell(self: Recognizer, several: Any, modes: Any) -> Any:
        seen.extend(several)
        return recognize(self, several, modes)

    monkeypatch.setattr(Recognizer, "__call__", recognize_and_tell)
    return seen


def test_many_recordings_are_cut_into_batches_that_fit(
    speech_lm: SpeechLM, recordings: list[Path], texts: list[str], batches: list[SpeechBatch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "BATCH_SECONDS", 2.5)  # 0.6 and 1.2 s padded are 2.4 s
    assert speech_lm.transcribe(recordings * 2, "it") == texts * 2
    assert [len(batch.speech) for batch in batches] == [2, 2, 2]
    assert all(batch.speech.numel() <= 2.5 * 16000 for batch in batches)
    monkeypatch.setattr(module, "BATCH_SECONDS", 0.1)  # a recording alone may be longer
    assert speech_lm.transcribe(recordings, "it") == texts


def test_a_language_for_each_recording(
    speech_lm: SpeechLM, recordings: list[Path], batches: list[SpeechBatch]
) -> None:
    names = ["it", "English", "rus"]
    together = speech_lm.transcribe(recordings, names)
    assert [list(batch.languages) for batch in batches] == [["it", "en", "ru"]]
    assert together == [
        speech_lm.transcribe(path, name) for path, name in zip(recordings, names, strict=True)
    ]
    found = speech_lm.transcripts(recordings, names)
    assert [one.language for one in found if isinstance(one, Transcript)] == ["it", "en", "ru"]
    assert [one.seconds for one in found if isinstance(one, Transcript)] == [0.6, 1.2, 0.9]


def test_the_language_is_identified(
    speech_lm: SpeechLM, whisper: Path, recordings: list[Path], waveforms: list[Any]
) -> None:
    from espnet_otreg.inference.language_id import LanguageIdentifier

    heard = LanguageIdentifier(whisper)([samples / 32768.0 for samples in waveforms])
    found = speech_lm.transcripts(recordings, ["auto", "it", "auto"])
    assert all(isinstance(one, Transcript) for one in found)
    told = [(one.language, one.language_probability) for one in found]  # type: ignore[union-attr]
    assert told == [heard[0], ("it", None), heard[2]]
    assert speech_lm.transcribe(recordings[0], "auto") == speech_lm.transcribe(
        recordings[0], heard[0][0]
    )


@pytest.mark.parametrize(
    "mode", sorted(known_modes().keys() - {"llm_shuffled", "sample", "ctc_ngram"})
)
def test_every_mode_for_single_recordings(
    speech_lm: SpeechLM, recordings: list[Path], mode: str
) -> None:
    together = speech_lm.transcribe(recordings, "it", mode)
    assert together == [speech_lm.transcribe(path, "it", mode) for path in recordings]


A, B = "a.wav", "b.flac"
WRONG: list[tuple[str, Any, Any, Any, str]] = [
    ("shuffled", A, "it", "llm_shuffled", "speech of other utterances.*take slm_decode"),
    ("mode", A, "it", "lmm", "no such mode; did you mean 'llm'"),
    ("mode's type", A, "it", 7, "expected the name of a mode, found 7"),
    ("samples", A, "it", "sample", "needs --num_samples"),
    ("language", A, "de", None, "not trained for German.*English"),
    ("no language", A, None, None, "nobody says which language is spoken"),
    ("too few languages", [A, B], ["it"], None, "1 languages for 2 recordings"),
    ("language's type", A, 5, None, "expected the name of a language, found 5"),
    ("one of two languages", [A, B], ["it", None], None, "name of a language, found None"),
    ("nothing", None, "it", None, "expected a recording, found NoneType"),
    ("number", 3.5, "it", None, "expected a recording, found float"),
    ("numbers", [0.5, 0.25], "it", None, "recording 1 of 2.*found float"),
    ("empty array", np.zeros(0), "it", None, "the audio is empty"),
    ("batch", np.zeros((4, 16000)), "it", None, "may be 4 recordings or as many channels"),
    ("NaN", np.full(800, np.nan), "it", None, "NaN"),
    ("31 s", np.zeros(31 * 16000), "it", None, "lasts 31.0 s"),
    ("one of three", [A, np.zeros(31 * 16000), B], "it", None, "recording 2 of 3: .*31.0 s"),
    ("missing", [A, "no.wav"], "it", None, "recording 2 of 2: no.wav: no such file"),
    ("no audio", [b"text", A], "it", None, "recording 1 of 2 .the given bytes.: not an audio"),
    ("empty dictionary", {}, "it", None, "a dictionary with nothing"),
    ("text file", [io.StringIO("RIFF")], "it", None, "recording 1 of 1.*open as text"),
]


@pytest.mark.parametrize(
    ("audio", "language", "mode", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_what_cannot_be_transcribed_is_said_in_a_sentence(
    speech_lm: SpeechLM, recordings: list[Path], monkeypatch: pytest.MonkeyPatch,
    audio: Any, language: Any, mode: Any, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(recordings[0].parent)
    with pytest.raises(UserError, match=says) as raised:
        speech_lm.transcribe(audio, language, mode)
    assert "\n" not in str(raised.value)


def test_what_is_no_model_is_said_in_a_sentence(
    model_dir: Path, whisper: Path, tmp_path: Path
) -> None:
    def refused(directory: Any, says: str, **options: Any) -> None:
        with pytest.raises(UserError, match=says) as raised:
            SpeechLM.from_pretrained(directory, **options)
        assert "\n" not in str(raised.value)

    refused(tmp_path / "no", "no such directory")
    refused(tmp_path, "no config.yaml here; give a training directory")
    refused(None, "directory: expected str . Path, found None")
    refused("", "expected a model directory")
    refused(model_dir / "model.pth", "a file, not the directory of a model")
    refused(model_dir.parent, f"did you mean {model_dir}")
    refused(whisper, "a model of Hugging Face")
    (tmp_path / "asr").mkdir()
    (tmp_path / "asr/config.yaml").write_text("encoder: conformer\ndecoder: transformer\n")
    refused(tmp_path / "asr", "asr/config.yaml: ")
    refused(model_dir, "has an encoder of its own", encoder=str(whisper))
    refused(model_dir, "device: expected str . device, found None", device=None)
    for device in ("cuda:99", "gpu", "mps", "meta", "cpu:x"):
        refused(model_dir, "this device cannot be used", device=device)


def test_devices() -> None:
    assert usable_device("cpu") == usable_device(torch.device("cpu")) == "cpu"


def test_it_is_ready_after_training_mode(model_dir: Path, tmp_path: Path) -> None:
    model = SpeechLM.from_pretrained(shutil.copytree(model_dir, tmp_path / "moved"))
    before = model.model.train()
    again = SpeechLM(before, None, model._options)
    assert not again.model.training
