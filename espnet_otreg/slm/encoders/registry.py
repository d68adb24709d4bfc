"""The kinds of encoders by the names that YAML files use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet_otreg.config import did_you_mean, parse_config
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.slm.encoders.base import EncoderConfig, PretrainedEncoderConfig
from espnet_otreg.slm.encoders.espnet import ESPnetEncoderConfig
from espnet_otreg.slm.encoders.precomputed import PrecomputedConfig
from espnet_otreg.slm.encoders.wav2vec2 import Wav2Vec2Config
from espnet_otreg.slm.encoders.whisper import WhisperConfig
from espnet_otreg.slm.encoders.whisper_upper import WhisperUpperConfig
from espnet_otreg.slm.espnet_classes import espnet_class_names

DEFAULT_ENCODER = "precomputed"
ENCODERS: dict[str, type[EncoderConfig]] = {
    "precomputed": PrecomputedConfig,
    "hf_whisper": WhisperConfig,
    "hf_whisper_upper": WhisperUpperConfig,
    "hf_wav2vec2": Wav2Vec2Config,
}


def encoder_class(values: Mapping[str, Any]) -> type[EncoderConfig]:
    """The kind of encoder that a training's configuration names, which need not be correct.

    >>> encoder_class({}).__name__, encoder_class({"encoder": "conformer"}).__name__
    ('PrecomputedConfig', 'ESPnetEncoderConfig')
    """
    name = values.get("encoder") or DEFAULT_ENCODER
    return ENCODERS.get(name if isinstance(name, str) else "", ESPnetEncoderConfig)


def parse_encoder(values: Mapping[str, Any], errors: list[str]) -> EncoderConfig | None:
    """The checked configuration of the encoder that ``encoder`` and ``encoder_conf`` describe.

    Args:
        values: the configuration of a training.
        errors: is extended by every mistake; then None is returned.

    >>> parse_encoder({"encoder": "hf_whisper", "encoder_conf": {"model": "exp/whisper"}}, [])
    WhisperConfig(model='exp/whisper', trailing_silence=0.5, layer=None)
    """
    name, conf = values.get("encoder") or DEFAULT_ENCODER, values.get("encoder_conf") or {}
    if name in ENCODERS:
        return parse_config(ENCODERS[name], conf, "encoder_conf", errors)
    known = [*ENCODERS, *espnet_class_names("encoder")]
    if name in known:
        return ESPnetEncoderConfig(name, dict(conf))
    errors.append(f"encoder: unknown name {name!r}; {did_you_mean(str(name), known)}")
    return None


def pretrained_prefixes() -> tuple[str, ...]:
    """What the names of pretrained weights begin with, of all kinds of encoders.

    >>> pretrained_prefixes()
    ('encoder.whisper.', 'encoder.fixed.', 'encoder.wav2vec2.')
    """
    return tuple(cls.pretrained_prefix for cls in ENCODERS.values() if cls.pretrained_prefix)


def encoder_of_model(
    directory: str | Path, trailing_silence: float, layer: int | None = None
) -> PretrainedEncoderConfig:
    """The encoder that a Hugging Face model is made into.

    Args:
        directory: of the model.
        trailing_silence: seconds of silence appended to each utterance.
        layer: behind which the frames are taken; by default the encoder's output.

    Raises:
        UserError: if no encoder is made for models of its type, or none that gives inner layers.
    """
    kind = read_json(Path(directory) / "config.json").get("model_type")
    for cls in ENCODERS.values():
        if issubclass(cls, PretrainedEncoderConfig) and kind in cls.model_types:
            if layer is None:
                return cls(str(directory), trailing_silence)
            if issubclass(cls, WhisperConfig):
                return cls(str(directory), trailing_silence, layer)
            raise UserError(f"no inner layers of {kind}", str(directory), "take a Whisper model")
    raise UserError(
        f"a model of type {kind}",
        str(directory),
        "features are made with Whisper, wav2vec 2.0 or w2v-BERT",
    )
