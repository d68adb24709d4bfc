"""Configuration of supervised training, the default."""

from __future__ import annotations

from dataclasses import dataclass

from espnet_otreg.objectives.base import Objective, ObjectiveConfig
from espnet_otreg.objectives.registry import register_objective


@register_objective("supervised")
@dataclass(frozen=True)
class SupervisedConfig(ObjectiveConfig):
    """Cross-entropy of the transcripts and the regularizers; formulas in ``supervised_loss``.

    It has no settings of its own: ``model_conf`` says how much cross-entropy there is, how it is
    smoothed and how much noise the LLM reads, ``regularizers`` what is added.
    """

    def build(self) -> Objective:
        """The objective; imports torch."""
        from espnet_otreg.objectives.supervised_loss import SupervisedObjective

        return SupervisedObjective()
