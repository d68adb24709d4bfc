"""Configuration of the Sinkhorn divergence between speech and transcript, as in "CTC meets OT"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espnet_otreg.regularizers.base import ANNEALING, RegularizerConfig
from espnet_otreg.regularizers.registry import register_regularizer

if TYPE_CHECKING:
    from espnet_otreg.regularizers.divergence_loss import DivergenceRegularizer


@register_regularizer("divergence")
@dataclass(frozen=True)
class DivergenceConfig(RegularizerConfig):
    """Settings of the divergence (Le et al., ICML 2023); formulas in ``divergence_loss``.

    Attributes:
        weight: 0.1 in the paper, beside CTC with 1.0.
        blur: square root of epsilon, in units of the embeddings; 0.05 in the paper. Far below their
            distances float32 keeps few digits of the gradient: then ``normalize``, or take more.
        position_weight: of the relative position as one more coordinate; 1.0 in the paper.
        normalize: take embeddings of length one; off in the paper.
        max_iterations, tolerance: of the transport. Our choice.

    >>> DivergenceConfig(blur=0.0).validate()
    ['blur: expected a positive number, found 0.0']
    """

    weight: float = 0.1
    blur: float = 0.05
    position_weight: float = 1.0
    normalize: bool = False
    max_iterations: int = 30
    tolerance: float = 1e-3

    def validate(self) -> list[str]:
        """Every mistake in the values, as ``key: message``."""
        wanted = {
            "blur": (self.blur > 0, "a positive number"),
            "position_weight": (self.position_weight >= 0, "a number not below 0"),
            "max_iterations": (self.max_iterations > ANNEALING, f"more than {ANNEALING}"),
            "tolerance": (self.tolerance >= 0, "a number not below 0"),
        }
        return super().validate() + self.unmet(wanted)

    def build(self) -> DivergenceRegularizer:
        """The regularizer; imports torch."""
        from espnet_otreg.regularizers.divergence_loss import DivergenceRegularizer

        return DivergenceRegularizer(**self.settings())
