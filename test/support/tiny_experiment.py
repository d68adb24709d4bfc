"""The experiment of a directory whose models are not trained by a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from espnet_otreg.experiment import Experiment
from espnet_otreg.recipe.experiment import read_experiment

MINI = Path(__file__).resolve().parents[2] / "egs2/mini_multi/slm1/conf/mini"


def plan_mini(
    directory: Path,
    arms: Sequence[str] = ("sft", "control", "otreg"),
    seeds: Sequence[int] = (1,),
    modes: Sequence[str] = ("ctc", "llm"),
    pretrainings: Sequence[str] = ("pretrain",),
) -> Experiment:
    """Plan the preset mini in ``directory``, with these runs."""
    plan = read_experiment(MINI, directory, arms, pretrainings, seeds, modes)
    plan.write()
    return plan.experiment
