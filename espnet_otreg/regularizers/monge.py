"""Configuration of the Monge gap of the projector, with the divergence that it goes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from espnet_otreg.regularizers.base import ANNEALING, RegularizerConfig
from espnet_otreg.regularizers.registry import register_regularizer

if TYPE_CHECKING:
    from espnet_otreg.regularizers.monge_loss import MongeGapRegularizer


@register_regularizer("monge_gap")
@dataclass(frozen=True)
class MongeGapConfig(RegularizerConfig):
    """Settings of fitting loss and gap (Uscidda & Cuturi 2023); formulas in ``monge_loss``.

    Attributes:
        gap_weight: of the gap beside the fitting loss; 1.0 in the paper's experiments, 0.1 in its
            authors' tutorial with squared distances.
        fitting_epsilon, gap_epsilon: entropy of the two transports, in units of the cost 1 - cos;
            the paper takes 0.1 and 0.01 of the mean cost, which is near 1 here.
        anchor_mass: share of the speech that the anchor stands for, in (0, 1). Our choice.
        max_points: frames and tokens of a batch that count, evenly spaced; 256 in the paper.
        max_iterations, tolerance: of both transports. Our choice.

    >>> MongeGapConfig(anchor_mass=1.0).validate()
    ['anchor_mass: expected a share between 0 and 1, found 1.0']
    """

    needs_start: ClassVar[bool] = True

    gap_weight: float = 1.0
    fitting_epsilon: float = 0.1
    gap_epsilon: float = 0.01
    anchor_mass: float = 0.3
    max_points: int = 256
    max_iterations: int = 50
    tolerance: float = 1e-3

    def validate(self) -> list[str]:
        """Every mistake in the values, as ``key: message``."""
        wanted = {
            "gap_weight": (self.gap_weight >= 0, "a number not below 0"),
            "fitting_epsilon": (self.fitting_epsilon > 0, "a positive number"),
            "gap_epsilon": (self.gap_epsilon > 0, "a positive number"),
            "anchor_mass": (0 < self.anchor_mass < 1, "a share between 0 and 1"),
            "max_points": (self.max_points >= 2, "at least 2"),
            "max_iterations": (self.max_iterations > ANNEALING, f"more than {ANNEALING}"),
            "tolerance": (self.tolerance >= 0, "a number not below 0"),
        }
        return super().validate() + self.unmet(wanted)

    def build(self) -> MongeGapRegularizer:
        """The regularizer; imports torch."""
        from espnet_otreg.regularizers.monge_loss import MongeGapRegularizer

        return MongeGapRegularizer(**self.settings())
