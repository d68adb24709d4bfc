"""``encoder: hf_whisper_upper``: the upper layers of Whisper on features of an inner layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from espnet_otreg.config import not_negative, probability
from espnet_otreg.slm.encoders.base import EncoderConfig

if TYPE_CHECKING:
    from espnet2.asr.encoder.abs_encoder import AbsEncoder


@dataclass(frozen=True)
class WhisperUpperConfig(EncoderConfig):
    """Whisper's layers above those that made the features (stage 4), and its final norm.

    Attributes:
        model: local directory or hub name of the Whisper model that made the features.
        first: the features are the hidden state behind so many of its layers.
        trained: so many of the last layers learn, together with the final norm; by default all
            that are there. Checkpoints hold these, also of a run that freezes them.
        dropout: on what each layer adds, in training; Whisper's own is 0.
    """

    model: str
    first: int
    trained: int | None = None
    dropout: float = 0.0

    reads_features: ClassVar[bool] = True
    pretrained_prefix: ClassVar[str | None] = "encoder.fixed."

    @property
    def pretrained(self) -> str:
        """Directory or hub name of the pretrained model."""
        return self.model

    def build(self, input_size: int | None) -> AbsEncoder:
        """See :meth:`EncoderConfig.build`."""
        from espnet_otreg.slm.encoders.whisper_upper_network import WhisperUpperEncoder

        return WhisperUpperEncoder(self.model, self.first, self.trained, self.dropout)

    def feature_errors(self, facts: Mapping[str, Any]) -> list[str]:
        """See :meth:`EncoderConfig.feature_errors`.

        >>> WhisperUpperConfig("whisper", 4).feature_errors({"layer": None})
        ['features of the final output, but encoder_conf.first is 4; make them with --layer 4']
        """
        layer = facts.get("layer")
        if layer == self.first:
            return []
        made = "the final output" if layer is None else f"layer {layer}"
        return [
            f"features of {made}, but encoder_conf.first is {self.first}; "
            f"make them with --layer {self.first}"
        ]

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return not_negative(first=self.first, trained=self.trained or 0) + probability(
            dropout=self.dropout
        )
