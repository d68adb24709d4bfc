"""Configuration of multi-grained alignment: tokens, segments and utterances contrasted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from espnet_otreg.regularizers.base import RegularizerConfig
from espnet_otreg.regularizers.registry import register_regularizer

if TYPE_CHECKING:
    from espnet_otreg.regularizers.multigrained_loss import MultigrainedRegularizer


@register_regularizer("multigrained")
@dataclass(frozen=True)
class MultigrainedConfig(RegularizerConfig):
    """Settings of multi-grained alignment after ORMA; formulas in ``multigrained_loss``.

    All numbers are our choice: the paper's weights and temperature were not found.

    Attributes:
        token_weight, segment_weight, utterance_weight: of the levels; one of weight 0 is left out.
        temperature: divides the cosines.
        segment_seconds: length of a segment; at least one frame.
        epsilon: entropy of the plan, in units of the cost 1 - cos.
        max_iterations, tolerance: of the solver.
        anchor: add the anchor embedding as a target for silence.
        anchor_mass: its share of the mass, in (0, 1); None = that of one token.

    >>> MultigrainedConfig(temperature=0.0).validate()
    ['temperature: expected a positive number, found 0.0']
    """

    weight: float = 0.1
    token_weight: float = 1.0
    segment_weight: float = 1.0
    utterance_weight: float = 1.0
    temperature: float = 0.1
    segment_seconds: float = 0.5
    epsilon: float = 0.1
    max_iterations: int = 50
    tolerance: float = 1e-3
    anchor: bool = True
    anchor_mass: float | None = None

    @property
    def level_weights(self) -> dict[str, float]:
        """Weight by level, without those of weight 0.

        >>> MultigrainedConfig(segment_weight=0.0).level_weights
        {'token': 1.0, 'utterance': 1.0}
        """
        weights = {
            "token": self.token_weight,
            "segment": self.segment_weight,
            "utterance": self.utterance_weight,
        }
        return {level: weight for level, weight in weights.items() if weight}

    def validate(self) -> list[str]:
        """Every mistake in the values, as ``key: message``."""
        weights = ("token_weight", "segment_weight", "utterance_weight")
        wanted = {
            **{
                key: (0 <= getattr(self, key) < math.inf, "a number not below 0") for key in weights
            },
            "temperature": (self.temperature > 0, "a positive number"),
            "segment_seconds": (self.segment_seconds > 0, "a positive number"),
            "epsilon": (self.epsilon > 0, "a positive number"),
            "max_iterations": (self.max_iterations >= 1, "at least 1"),
            "tolerance": (self.tolerance >= 0, "a number not below 0"),
            "anchor_mass": (
                self.anchor_mass is None or 0 < self.anchor_mass < 1,
                "a share between 0 and 1",
            ),
        }
        errors = super().validate() + self.unmet(wanted)
        if not self.level_weights:
            errors.append(f"{', '.join(weights)}: all are 0; give one of them a weight")
        if self.anchor_mass is not None and not self.anchor:
            errors.append("anchor_mass: has no meaning with 'anchor: false'")
        return errors

    def build(self) -> MultigrainedRegularizer:
        """The regularizer; imports torch."""
        from espnet_otreg.regularizers.multigrained_loss import MultigrainedRegularizer

        return MultigrainedRegularizer(
            level_weights=self.level_weights,
            temperature=self.temperature,
            segment_seconds=self.segment_seconds,
            epsilon=self.epsilon,
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            anchor=self.anchor,
            anchor_mass=self.anchor_mass,
        )
