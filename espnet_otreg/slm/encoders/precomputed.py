"""``encoder: precomputed``: features that a frozen encoder has made beforehand (stage 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from espnet_otreg.config import positive
from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.base import EncoderConfig

if TYPE_CHECKING:
    from espnet2.asr.encoder.abs_encoder import AbsEncoder


@dataclass(frozen=True)
class PrecomputedConfig(EncoderConfig):
    """Features made by stage 4; dimension and frame length are read from ``feats.json``."""

    input_size: int | None = None  # recorded by the first training, so that inference needs no data
    frame_seconds: float | None = None

    reads_features: ClassVar[bool] = True
    recorded: ClassVar[tuple[str, ...]] = ("input_size", "frame_seconds")

    def build(self, input_size: int | None) -> AbsEncoder:
        """See :meth:`EncoderConfig.build`."""
        from espnet_otreg.slm.encoders.modules import PrecomputedEncoder

        if self.input_size is None or self.frame_seconds is None:
            raise UserError(
                "the size of the features is not known",
                "encoder_conf",
                "train from a directory made by stage 4 (feats.scp beside feats.json)",
            )
        return PrecomputedEncoder(self.input_size, self.frame_seconds)

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return positive(**{name: value for name, value in vars(self).items() if value is not None})
