"""Models and data that do not fit together, and recordings that cannot be transcribed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_input import ForkServer, Outcome, assert_refused, nothing_written
from tiny_training import TinyTraining

from espnet_otreg.files import lock_directory

from .conftest import noise

Decode = Callable[..., Outcome]
FIRST = "en_tiny_a_00"


@pytest.fixture
def own(tiny_training: TinyTraining, trained: Path, tmp_path: Path) -> TinyTraining:
    """A copy of data and model that can be spoilt."""
    shutil.copytree(tiny_training.root / "valid", tmp_path / "valid")
    shutil.copytree(trained, tmp_path / "model", symlinks=True)
    return dataclasses.replace(tiny_training, root=tmp_path)


@pytest.fixture
def decode(own: TinyTraining, fork_server: ForkServer) -> Decode:
    """decode(options): decode valid with the model."""

    def run(*options: object) -> Outcome:
        words: dict[str, object] = {
            "--model_dir": own.root / "model",
            "--data_dir": own.root / "valid",
            "--output_dir": own.root / "exp",
            "--modes": "ctc",
        }
        words.update(zip(options[::2], options[1::2], strict=True))
        return fork_server("slm_decode", *(w for pair in words.items() for w in pair))

    return run


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model_dir", "/no/model"), ("/no/model: no such directory",)),
        (("--batch_size", "0"), ("batch_size",)),
        (("--checkpoint", "best.pth"), ("model/best.pth", "no such checkpoint")),
        (("--data_dir", "/no/data"), ("/no/data", "there is no feats.scp")),
        (("--modes", "lmm"), ("mode 'lmm'", "did you mean 'llm'")),
        (("--modes", "sample"), ("mode 'sample'", "--num_samples")),
        (("--num_beams", "0"), ("num_beams: expected a whole number from 1",)),
        (("--device", "cuda:99"), ("cuda:99: this device cannot be used", "--device cpu")),
        (("--modes", "joint", "--weights_dev", "dev"), ("dev: this set is not decoded",)),
    ],
    ids=["model", "batch size", "checkpoint", "data", "mode", "samples", "beams", "device",
         "development set"],
)  # fmt: skip
def test_mistakes_on_the_command_line(
    decode: Decode, tmp_path: Path, options: tuple[str, ...], says: tuple[str, ...]
) -> None:
    with nothing_written(tmp_path):
        assert_refused(decode(*options), *says)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def _spoil_features(
    root: Path, change: Callable[[np.ndarray], np.ndarray], one: str | None = FIRST
) -> None:
    import kaldiio

    scp = root / "valid/feats.scp"
    matrices = {key: np.array(value) for key, value in kaldiio.load_scp(str(scp)).items()}
    for key in matrices if one is None else [one]:
        matrices[key] = change(matrices[key])
    kaldiio.save_ark(str(root / "valid/feats.ark"), matrices, scp=str(scp))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda r: _half(r / "model/2epoch.pth"), ("model/", ".pth: the checkpoint is damaged")),
        (lambda r: (r / "model/2epoch.pth").write_text("weights"), ("checkpoint is damaged",)),
        (lambda r: _edit(r / "model/config.yaml", "width: 24", "width: 32"), ("other shapes: p",)),
        (lambda r: _edit(r / "model/config.yaml", "heads: 4", "hands: 4"), ("mean 'heads'",)),
        (lambda r: _spoil_features(r, lambda m: m[:, :8], None), ("8 dimensions", "expects 16")),
        (lambda r: _spoil_features(r, lambda m: m[:, :8]), (FIRST, "dimensions", "8", "16")),
        (lambda r: _spoil_features(r, lambda m: m * np.nan), (FIRST, "contain NaN")),
        (lambda r: _edit(r / "valid/feats.scp", f"{FIRST} ", f"{FIRST} /no"), (FIRST, "/no/")),
        (lambda r: _edit(r / "valid/utt2lang", FIRST, "aa"), (FIRST, "valid/utt2lang")),
        (lambda r: (r / "valid/feats.scp").unlink(), ("valid: there is no feats.scp",)),
        (lambda r: (r / "valid/feats.scp").write_text(""), ("there is no utterance",)),
    ],
    ids=["cut off", "no checkpoint", "another width", "unknown key", "dimension", "one dimension",
         "NaN", "archive", "language", "no features", "no utterance"],
)  # fmt: skip
def test_models_and_data_that_do_not_fit(
    decode: Decode, own: TinyTraining, spoil: Callable[[Path], object], says: tuple[str, ...]
) -> None:
    spoil(own.root)
    with nothing_written(own.root):
        assert_refused(decode("--checkpoint", "2epoch.pth"), *says)


def test_token_classes_of_another_llm(decode: Decode, own: TinyTraining, tmp_path: Path) -> None:
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps({"token_ids": [7], "anchor_token_id": 5}))
    _edit(own.root / "model/config.yaml", str(own.classes), str(classes))
    with nothing_written(tmp_path):
        assert_refused(decode(), classes, "made for another LLM")


def test_places_that_cannot_be_written(decode: Decode, tmp_path: Path) -> None:
    with nothing_written(tmp_path):
        output = tmp_path / "valid/text/exp"
        assert_refused(decode("--output_dir", output), output, "not a directory")
        with lock_directory(tmp_path / "exp"):
            assert_refused(decode(), tmp_path / "exp", "another run (process ")


def test_recordings_that_cannot_be_transcribed(
    own: TinyTraining, fork_server: ForkServer, tmp_path: Path
) -> None:
    model = ("--model_dir", own.root / "model", "--language")
    (tmp_path / "notes.wav").write_text("not a recording\n" * 9)
    soundfile.write(tmp_path / "good.wav", noise(0.1), 16000)
    with nothing_written(tmp_path):
        assert_refused(fork_server("slm_transcribe", *model, "it"), "required: audio")
        done = fork_server("slm_transcribe", "no.wav", *model, "it")
        assert_refused(done, "no.wav: no such file")
        done = fork_server("slm_transcribe", tmp_path / "notes.wav", *model, "it")
        assert_refused(done, tmp_path / "notes.wav", "not an audio file that can be decoded")
        done = fork_server("slm_transcribe", tmp_path / "good.wav", *model, "itallian")
        assert_refused(done, "unknown language 'itallian'", "did you mean Italian (it)?")


def test_a_model_that_cannot_transcribe_or_be_packed(
    own: TinyTraining, fork_server: ForkServer, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.5), 16000)
    words = ("--model_dir", own.root / "model")
    with nothing_written(tmp_path):
        done = fork_server("slm_transcribe", tmp_path / "a.wav", *words, "--language", "it")
        assert_refused(done, own.root / "model", "which encoder made the features")
        done = fork_server(
            "slm_pack", "--model_dir", tmp_path / "valid", "--output", tmp_path / "p"
        )
        assert_refused(done, tmp_path / "valid", "no config.yaml here")
        done = fork_server("slm_pack", *words, "--output", tmp_path / "valid")
        assert_refused(done, tmp_path / "valid", "something else is there")
