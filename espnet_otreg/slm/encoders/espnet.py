"""Encoders of ESPnet by the names of its ASR task, such as ``encoder: conformer``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.base import EncoderConfig
from espnet_otreg.slm.espnet_classes import espnet_class

if TYPE_CHECKING:
    from espnet2.asr.encoder.abs_encoder import AbsEncoder


@dataclass(frozen=True)
class ESPnetEncoderConfig(EncoderConfig):
    """An encoder of ESPnet, which is trained from scratch and saved in whole.

    Attributes:
        name: as ESPnet's YAML files call it.
        options: of its class.
    """

    name: str
    options: Mapping[str, Any]

    def build(self, input_size: int | None) -> AbsEncoder:
        """See :meth:`EncoderConfig.build`."""
        cls = espnet_class("encoder", self.name)
        try:
            encoder: AbsEncoder = cls(input_size=input_size, **self.options)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{self.name}: {error}", "encoder_conf", "correct the option"
            ) from error
        return encoder
