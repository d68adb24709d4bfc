"""Kinds of encoders: what their configurations answer, and the frame rate of ESPnet's."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from pages import block_with
from tiny_speech import build_tiny_speech_model
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.frame_rate import frame_seconds_of
from espnet_otreg.slm.encoders.registry import ENCODERS, encoder_of_model, parse_encoder
from espnet_otreg.slm.espnet_classes import espnet_class


class Unheard(AbsEncoder):
    """An encoder whose front reduces the frames by 5, which no name of a class says."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(80, 8, kernel_size=7, stride=5)
        self.norm = nn.BatchNorm1d(8)

    def output_size(self) -> int:
        return 8

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Any = None
    ) -> tuple[Tensor, Tensor, None]:
        torch.rand(1)  # as ESPnet's stacks of layers do, in evaluation too
        frames = self.norm(self.front(xs_pad.transpose(1, 2)))
        return frames.transpose(1, 2), (ilens - 7) // 5 + 1, None


class Pooled(Unheard):
    """One vector for the whole utterance."""

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Any = None
    ) -> tuple[Tensor, Tensor, None]:
        return xs_pad.mean(1, keepdim=True), torch.ones_like(ilens), None


def frontend(hop: int) -> Any:
    return espnet_class("frontend", "default")(hop_length=hop)


@pytest.mark.parametrize(("hop", "samples"), [(128, 640), (200, 1000)])
def test_a_front_that_nobody_knows_is_measured(hop: int, samples: int) -> None:
    assert frame_seconds_of(Unheard(), frontend(hop)) == samples / 16000


@pytest.mark.parametrize(
    ("name", "conf", "hop", "factor"),
    [
        ("conformer", {"input_layer": "conv2d"}, 128, 4),
        ("conformer", {"input_layer": "conv2d6"}, 160, 6),
        ("transformer", {"input_layer": "linear"}, 128, 1),
        ("e_branchformer", {"input_layer": "conv2d8"}, 160, 8),
    ],
)
def test_encoders_of_espnet_have_hop_times_subsampling(
    name: str, conf: dict[str, Any], hop: int, factor: int
) -> None:
    conf = {**conf, "output_size": 8, "attention_heads": 2, "num_blocks": 1}
    encoder = espnet_class("encoder", name)(input_size=80, **conf)
    assert frame_seconds_of(encoder, frontend(hop)) == hop / 16000 * factor


def test_measuring_leaves_no_trace() -> None:
    encoder, front = Unheard(), frontend(128)
    encoder.norm.eval()  # a frozen part of a module that trains
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    states = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    frame_seconds_of(encoder, front)
    assert encoder.training and encoder.front.training and not encoder.norm.training
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_an_encoder_without_frames_is_refused() -> None:
    with pytest.raises(UserError, match=r"Pooled: two seconds .* as many frames as one \(1\)"):
        frame_seconds_of(Pooled(), frontend(128))


@pytest.fixture(scope="module")
def models(tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {
        "hf_whisper": tiny_whisper,
        "wav2vec2": build_tiny_speech_model(root / "wav2vec2", "wav2vec2"),
        "w2v-bert": build_tiny_speech_model(root / "w2v-bert", "wav2vec2-bert"),
    }


@pytest.mark.parametrize("kind", ["hf_whisper", "wav2vec2", "w2v-bert"])
def test_a_pretrained_encoder_answers_as_its_model_is(models: dict[str, Path], kind: str) -> None:
    config = encoder_of_model(models[kind], 0.1)
    encoder = config.build(None)
    assert config.pretrained == str(models[kind]) and not config.reads_features
    # Every weight of the encoder is one of the model's, which a checkpoint may leave out.
    prefix = str(config.pretrained_prefix)
    names = [f"encoder.{name}" for name in encoder.state_dict()]
    assert names and all(name.startswith(prefix) for name in names)
    assert encoder.max_samples == config.longest_samples()
    speech = torch.zeros(1, 8000)
    frames, lengths, _ = encoder(speech, torch.tensor([8000]))
    assert frames.shape == (1, int(lengths[0]), encoder.output_size())
    assert frame_seconds_of(encoder, None) == encoder.frame_seconds == 0.02


def test_models_of_no_known_kind_make_no_encoder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="a model of type bert"):
        encoder_of_model(tmp_path, 0.0)
    errors: list[str] = []
    assert parse_encoder({"encoder": "conformr"}, errors) is None
    assert errors == ["encoder: unknown name 'conformr'; did you mean 'conformer'?"]
    config = parse_encoder({"encoder": "hf_whisper", "encoder_conf": {"model": str(tmp_path)}}, [])
    assert config is not None
    with pytest.raises(UserError, match="a model of type bert; give a Whisper model"):
        config.longest_samples()


def test_an_encoder_is_one_class_and_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": __name__}
    exec(block_with("extending.md", "python", "WindowsConfig(EncoderConfig)"), names)
    monkeypatch.setitem(ENCODERS, "windows", names["WindowsConfig"])
    errors: list[str] = []
    assert parse_encoder({"encoder": "windows", "encoder_conf": {"widht": 4}}, errors) is None
    assert parse_encoder({"encoder": "windows", "encoder_conf": {"width": 0}}, errors) is None
    assert ["did you mean 'width'" in errors[0], "width" in errors[1]] == [True, True]
    config = parse_encoder({"encoder": "windows", "encoder_conf": {"width": 4}}, [])
    assert config is not None and not config.reads_features and config.pretrained is None
    encoder = config.build(None)
    frames, lengths, _ = encoder(torch.ones(2, 1000), torch.tensor([1000, 640]))
    assert frames.shape == (2, 3, encoder.output_size()) and lengths.tolist() == [3, 2]
    assert frame_seconds_of(encoder, None) == 0.02
