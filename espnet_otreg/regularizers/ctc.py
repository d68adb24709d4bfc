"""Configuration of CTC against the LLM's own embedding table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espnet_otreg.regularizers.base import RegularizerConfig
from espnet_otreg.regularizers.registry import register_regularizer

if TYPE_CHECKING:
    from espnet_otreg.regularizers.ctc_loss import CTCRegularizer


@register_regularizer("ctc")
@dataclass(frozen=True)
class CTCConfig(RegularizerConfig):
    """Settings of CTC (Graves et al. 2006); formulas in ``ctc_loss``.

    >>> CTCConfig(start_step=-1).validate()
    ['start_step: expected a number not below 0, found -1']
    """

    @property
    def needs_readout(self) -> bool:
        """It scores what the read-out says."""
        return True

    def build(self) -> CTCRegularizer:
        """The regularizer; imports torch."""
        from espnet_otreg.regularizers.ctc_loss import CTCRegularizer

        return CTCRegularizer()
