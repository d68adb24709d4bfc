"""Speech encoders as ESPnet sees them: our own three, and ESPnet's by their usual names."""

from __future__ import annotations

from typing import Any

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.slm.config import PrecomputedConfig, Wav2Vec2Config, WhisperConfig
from espnet_otreg.slm.espnet_classes import espnet_class


class PrecomputedEncoder(AbsEncoder):
    """Features made beforehand by a frozen encoder (stage 3), passed on as they are.

    Args:
        input_size: D of the features.
        frame_seconds: duration of one frame.

    >>> encoder = PrecomputedEncoder(512, 0.02)
    >>> encoder(torch.zeros(1, 7, 512), torch.tensor([7]))[0].shape
    torch.Size([1, 7, 512])
    """

    def __init__(self, input_size: int, frame_seconds: float) -> None:
        super().__init__()
        self.input_size = input_size
        self.frame_seconds = frame_seconds

    def output_size(self) -> int:
        """D of the features."""
        return self.input_size

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, T, D) and (B,) as they came.

        Raises:
            UserError: if D is not what the model was trained with.
        """
        if xs_pad.size(-1) != self.input_size:
            raise UserError(
                f"features have {xs_pad.size(-1)} dimensions, the model expects {self.input_size}",
                "feats.scp",
                "extract them with the encoder that the model was trained with",
            )
        return xs_pad, ilens, None


class HFWhisperEncoder(AbsEncoder):
    """A Hugging Face Whisper encoder on waveforms of their true length."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        from espnet_otreg.slm.whisper import WhisperEncoder

        self.whisper = WhisperEncoder(config.model, config.trailing_silence)
        self.frame_seconds = self.whisper.frame_seconds

    def output_size(self) -> int:
        """D of the frames."""
        return self.whisper.output_size

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, N) waveforms to (B, T, D) frames of 20 ms and their numbers."""
        frames, lengths = self.whisper(xs_pad, ilens)
        return frames, lengths, None


class HFWav2Vec2Encoder(AbsEncoder):
    """A Hugging Face wav2vec 2.0 or w2v-BERT 2.0 encoder on waveforms of their true length."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        from espnet_otreg.slm.wav2vec2 import Wav2Vec2Encoder

        self.wav2vec2 = Wav2Vec2Encoder(config.model, config.trailing_silence)
        self.frame_seconds = self.wav2vec2.frame_seconds

    def output_size(self) -> int:
        """D of the frames."""
        return self.wav2vec2.output_size

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, N) waveforms to (B, T, D) frames and their numbers."""
        frames, lengths = self.wav2vec2(xs_pad, ilens)
        return frames, lengths, None


def build_encoder(
    name: str,
    config: PrecomputedConfig | WhisperConfig | Wav2Vec2Config | dict[str, Any],
    input_size: int | None,
) -> AbsEncoder:
    """Build an encoder.

    Args:
        name: ``precomputed``, ``hf_whisper``, ``hf_wav2vec2`` or a name of ESPnet's ASR task.
        config: its checked configuration.
        input_size: D of a frontend's output, for ESPnet's encoders.

    Raises:
        UserError: if the size of precomputed features is not known.

    >>> build_encoder("precomputed", PrecomputedConfig(512, 0.02), None).output_size()
    512
    """
    if isinstance(config, Wav2Vec2Config):
        return HFWav2Vec2Encoder(config)
    if isinstance(config, WhisperConfig):
        return HFWhisperEncoder(config)
    if isinstance(config, PrecomputedConfig):
        if config.input_size is None or config.frame_seconds is None:
            raise UserError(
                "the size of the features is not known",
                "encoder_conf",
                "train from a directory made by stage 3 (feats.scp beside feats.json)",
            )
        return PrecomputedEncoder(config.input_size, config.frame_seconds)
    cls = espnet_class("encoder", name)
    try:
        encoder: AbsEncoder = cls(input_size=input_size, **config)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: {error}", "encoder_conf", "correct the option") from error
    return encoder


def frame_seconds_of(encoder: AbsEncoder, frontend: torch.nn.Module | None) -> float:
    """Duration of one encoder frame; for ESPnet's encoders hop times subsampling.

    ESPnet's encoders do not tell their subsampling, so a frame of theirs is measured by running
    no audio at all: the convolutional front of 4 is assumed unless ``input_layer`` says otherwise.
    """
    own = getattr(encoder, "frame_seconds", None)
    if own is not None:
        return float(own)
    hop = getattr(frontend, "hop_length", 160) / 16000.0
    factors = {"conv2d": 4, "conv2d1": 1, "conv2d2": 2, "conv2d6": 6, "conv2d8": 8, "linear": 1}
    embed = type(getattr(encoder, "embed", None)).__name__.lower()
    names = {"conv2dsubsampling": "conv2d", "conv2dsubsampling1": "conv2d1"}
    names |= {f"conv2dsubsampling{n}": f"conv2d{n}" for n in (2, 6, 8)}
    return hop * factors.get(names.get(embed, "linear"), 1)
