"""A tiny model that hears with its own Whisper, packed; and a few recordings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from numpy.typing import NDArray
from tiny_corpus import write_features
from tiny_llm import build_tiny_llm
from tiny_slm import tiny_config, write_classes

LENGTHS = (0.6, 1.2, 0.9)  # seconds of the recordings


@pytest.fixture(scope="session")
def whisper(
    tiny_whisper_model: Any, whisper_tokenizer_json: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A multilingual one, which hears more than fresh weights let it hear."""
    from espnet_otreg.models_offline.whisper_files import save_whisper

    directory = tmp_path_factory.mktemp("models") / "whisper"
    model = copy.deepcopy(tiny_whisper_model)
    torch.manual_seed(6)
    encoder, decoder = model.model.encoder, model.model.decoder
    for parameter in (
        encoder.conv1.weight,
        encoder.conv2.weight,
        *decoder.layers[0].encoder_attn.parameters(),
    ):
        torch.nn.init.normal_(parameter)
    settings = {"alignment_heads": [[0, 0]], "suppress_ids": [], "suppress_ids_begin": []}
    save_whisper(model, whisper_tokenizer_json, settings, directory)
    return directory


@pytest.fixture(scope="session")
def model_dir(whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed; with random weights, so that each recording gets a text of its own."""
    from espnet_otreg.inference.pack import pack_model
    from espnet_otreg.slm.build import build_model
    from espnet_otreg.slm.config import parse_slm_config

    root = tmp_path_factory.mktemp("slm")
    llm = build_tiny_llm(root / "llm")
    features = write_features(root / "features", copies=1)
    config = tiny_config(llm, write_classes(llm, features, root / "classes.json"), features)
    config |= {"encoder": "hf_whisper", "encoder_conf": {"model": str(whisper)}}
    config["prompt_conf"] = {
        "templates": {
            "default": "{speech}",
            **{name: f"{{speech}}<{name}>" for name in ("en", "es", "fr", "it", "ru")},
        }
    }
    torch.manual_seed(6)
    model = build_model(parse_slm_config(config))
    (root / "exp").mkdir()
    (root / "exp/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    torch.save(model.state_dict(), root / "exp/latest.pth")
    pack_model(root / "exp", root / "packed/model", copy_models=True)
    return root / "packed/model"


@pytest.fixture(scope="session")
def speech_lm(model_dir: Path) -> Any:
    """The model, loaded."""
    from espnet_otreg.inference.speech_lm import SpeechLM

    return SpeechLM.from_pretrained(model_dir)


@pytest.fixture(scope="session")
def waveforms() -> list[NDArray[np.int16]]:
    rng = np.random.default_rng(0)
    return [
        np.round(3000 * rng.standard_normal(round(16000 * seconds))).astype(np.int16)
        for seconds in LENGTHS
    ]


@pytest.fixture(scope="session")
def recordings(
    waveforms: list[NDArray[np.int16]], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """``a.wav``, ``b.flac`` and ``c.wav`` of their samples."""
    directory = tmp_path_factory.mktemp("recordings")
    paths = [directory / name for name in ("a.wav", "b.flac", "c.wav")]
    for path, samples in zip(paths, waveforms, strict=True):
        soundfile.write(path, samples, 16000, subtype="PCM_16")
    return paths


@pytest.fixture(scope="session")
def texts(speech_lm: Any, recordings: list[Path]) -> list[str]:
    """What the model says to each of them alone, in Italian."""
    found = [speech_lm.transcribe(path, "it") for path in recordings]
    assert len({*found, ""}) == 4
    return found


@pytest.fixture
def main(
    model_dir: Path,
    speech_lm: Any,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    """main(words): the command in this process, which loads the model once for all tests."""
    import sys

    from espnet_otreg.bin import slm_transcribe
    from espnet_otreg.errors import run_main
    from espnet_otreg.inference.speech_lm import SpeechLM

    def loaded(directory: Path, **options: Any) -> Any:
        assert Path(directory) == model_dir
        return speech_lm

    monkeypatch.setattr(SpeechLM, "from_pretrained", loaded)

    def run(*words: object, model: Path = model_dir) -> tuple[int, str, str]:
        arguments = ["slm_transcribe", "--model_dir", str(model), *map(str, words)]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            run_main(slm_transcribe.main)
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run
