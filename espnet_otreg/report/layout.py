"""Where an experiment keeps its scores, and which of those it should have are missing.

Below the directory of a training lie ``MODE/SET/scoring/score.json`` for every way of decoding and
``analysis/analysis.json``; ``EXP/whisper/zero_shot`` is the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from espnet_otreg.decoding.modes import PROMPT, known_modes
from espnet_otreg.experiment import Experiment
from espnet_otreg.files import read_json
from espnet_otreg.scoring.rows import Row, load_row

WHISPER = "Whisper zero-shot"
DEV_SET = "dev"
TEST_SETS = ("test", "ood")


def mode_name(mode: str) -> str:
    """A way of decoding as it stands in tables.

    >>> mode_name("ctc"), mode_name("mine")
    ('CTC read-out', 'mine')
    """
    known = known_modes()
    return known[mode].title or mode if mode in known else mode


def is_floor(mode: str) -> bool:
    """Whether a way of decoding does not give the model the right speech.

    >>> is_floor("llm_no_speech"), is_floor("llm")
    (True, False)
    """
    known = known_modes()
    return mode in known and known[mode].floor


def uses_llm(mode: str) -> bool:
    """Whether a way of decoding runs the LLM, and gives it the right speech.

    >>> uses_llm("joint"), uses_llm("ctc"), uses_llm("llm_no_speech")
    (True, False, False)
    """
    known = known_modes()
    return mode in known and PROMPT in known[mode].needs and not known[mode].floor


@dataclass(frozen=True)
class System:
    """A run decoded in one way, or the baseline (its ``mode`` is empty).

    Two are equal if run and mode are; ``arm_name`` is how the run is called in tables.
    """

    arm: str
    mode: str
    arm_name: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """As it stands in tables.

        >>> System("otreg", "llm", "OTReg").name
        'OTReg, LLM'
        """
        if not self.mode:
            return WHISPER
        return f"{self.arm_name or self.arm}, {mode_name(self.mode)}"

    @property
    def is_floor(self) -> bool:
        """Whether the model was not given the right speech."""
        return is_floor(self.mode)


@dataclass(frozen=True)
class Results:
    """The scores of an experiment.

    Attributes:
        experiment: what is expected.
    """

    experiment: Experiment

    def systems(self) -> list[System]:
        """The rows of the main tables: baseline, floors, then every run in every mode."""
        experiment = self.experiment
        runs = (*experiment.pretrainings, *experiment.arms)
        floors = [
            (name, mode) for mode in experiment.floor_modes for name in self._with_floor(mode)
        ]
        decoded = [
            (name, mode)
            for mode in experiment.modes
            if not is_floor(mode)
            for name in runs
            if mode in experiment.training(name).modes
        ]
        named = [System(name, mode, experiment.title(name)) for name, mode in (*floors, *decoded)]
        return [System("whisper", ""), *named]

    def _with_floor(self, mode: str) -> list[str]:
        """The arms decoded in ``mode`` with any seed; the first one, if none is, is expected."""
        experiment = self.experiment
        found = [
            arm
            for arm in experiment.arms
            if any((experiment.run_dir(arm, seed) / mode).is_dir() for seed in experiment.seeds)
        ]
        return found or list(experiment.arms[:1])

    def score_file(self, system: System, seed: int, test_set: str) -> Path:
        """Where the score of one test set should be."""
        if not system.mode:
            directory = self.experiment.directory / "whisper" / "zero_shot"
        else:
            directory = self.experiment.run_dir(system.arm, seed) / system.mode
        return directory / test_set / "scoring" / "score.json"

    def complete_seeds(self, system: System, test_sets: Sequence[str]) -> list[int]:
        """The seeds for which all score files are there; the baseline counts as one seed."""
        return [
            seed
            for seed in self._expected_seeds(system)
            if all(self.score_file(system, seed, name).is_file() for name in test_sets)
        ]

    def _expected_seeds(self, system: System) -> Sequence[int]:
        return self.experiment.seeds if system.mode else self.experiment.seeds[:1]

    def row(self, system: System, seeds: Sequence[int], test_sets: Sequence[str]) -> Row:
        """The scores of one system.

        Raises:
            UserError: as :func:`espnet_otreg.scoring.rows.load_row`.
        """
        files = [self.score_file(system, seed, name) for name in test_sets for seed in seeds]
        return load_row(system.name, files)

    def step_times(self) -> dict[str, dict[str, float]]:
        """Of each arm ``ratio`` to the step of the primary baseline, ``low`` and ``high``, as
        tools/benchmark_step.py has measured them; empty if it has not."""
        path = self.experiment.directory / "step_times.json"
        times: dict[str, dict[str, float]] = read_json(path)["arms"] if path.is_file() else {}
        return times

    def missing(self) -> list[str]:
        """One sentence for each system that lacks scores."""
        sentences = []
        for system in self.systems():
            expected = self._expected_seeds(system)
            absent = sorted(set(expected) - set(self.complete_seeds(system, TEST_SETS)))
            if not absent:
                continue
            if len(absent) == len(expected):
                sentences.append(f"{system.name}: not run, or not scored on all test sets.")
            else:
                sentences.append(f"{system.name}: no scores of seed {', '.join(map(str, absent))}.")
        return sentences
