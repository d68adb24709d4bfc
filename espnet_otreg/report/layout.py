"""Where an experiment keeps its results, and which of those it should have are missing.

``EXP/ARM_sSEED`` is a training run; below it lie ``MODE/SET/scoring/score.json`` for every way of
decoding and ``analysis/analysis.json``; ``EXP/whisper/zero_shot`` is the baseline.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.scoring.rows import Row, load_row

ARM_NAMES = {
    "pretrain": "pretrained projector",
    "pretrain_divergence": "pretrained, CTC + divergence",
    "pretrain_unpaired": "pretrained, unpaired speech and text",
    "sft": "SFT",
    "sft_similarity": "SFT, compression by similarity",
    "control": "control",
    "otreg": "OTReg",
    "otreg_ctc": "OTReg + CTC",
    "otreg_sparse": "OTReg, k-sparse",
    "otreg_impurity": "OTReg, impurity of rows",
    "otreg_spread": "OTReg, spread of rows",
    "otreg_voice": "OTReg, voice activity",
    "ctc_divergence": "CTC + divergence",
    "monge_gap": "Monge gap",
    "multigrained": "multi-grained alignment",
}
MODE_NAMES = {"ctc": "CTC read-out", "llm": "LLM", "joint": "joint CTC + LLM"}
FLOOR_NAMES = {"llm_shuffled": "wrong speech (floor)", "llm_no_speech": "no speech (floor)"}
WHISPER = "Whisper zero-shot"
DEV_SET = "dev"
TEST_SETS = ("test", "ood")
_RUN = re.compile(r"(?P<arm>[a-z][a-z0-9_]*)_s(?P<seed>\d+)")


def arm_name(arm: str) -> str:
    """An arm as it stands in tables.

    >>> arm_name("otreg"), arm_name("mine")
    ('OTReg', 'mine')
    """
    return ARM_NAMES.get(arm, arm)


def is_pretraining(arm: str) -> bool:
    """Whether a training run of that name is one of stage 7, in which the LLM takes no part.

    >>> is_pretraining("pretrain_divergence"), is_pretraining("sft")
    (True, False)
    """
    return arm.startswith("pretrain")


def is_sft(arm: str) -> bool:
    """Whether a training run of that name is one of stage 8, which goes on from the projector.

    >>> is_sft("sft_similarity"), is_sft("control")
    (True, False)
    """
    return arm == "sft" or arm.startswith("sft_")


def mode_name(mode: str) -> str:
    """A way of decoding as it stands in tables.

    >>> mode_name("ctc"), mode_name("mine")
    ('CTC read-out', 'mine')
    """
    return {**MODE_NAMES, **FLOOR_NAMES}.get(mode, mode)


@dataclass(frozen=True)
class System:
    """An arm decoded in one way, or the baseline (its ``mode`` is empty)."""

    arm: str
    mode: str

    @property
    def name(self) -> str:
        """As it stands in tables.

        >>> System("otreg", "llm").name
        'OTReg, LLM'
        """
        if not self.mode:
            return WHISPER
        return f"{self.arm_name}, {mode_name(self.mode)}"

    @property
    def arm_name(self) -> str:
        """The arm's part of the name."""
        return arm_name(self.arm)

    @property
    def is_floor(self) -> bool:
        """Whether the model was not given the right speech."""
        return self.mode in FLOOR_NAMES


@dataclass(frozen=True)
class Experiment:
    """An experiment directory and what is expected in it.

    Attributes:
        directory: for instance ``exp/mini``.
        arms: those trained, without pretrainings.
        seeds: those of every arm.
        modes: ways of decoding.
        pretrainings: those of stage 7; the arms go on from the first.
    """

    directory: Path
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    modes: tuple[str, ...]
    pretrainings: tuple[str, ...] = ("pretrain",)

    def run_dir(self, arm: str, seed: int) -> Path:
        """Directory of one training run."""
        return self.directory / f"{arm}_s{seed}"

    def systems(self) -> list[System]:
        """The rows of the main tables: baseline, floors, then every arm in every mode."""
        floors = [System(arm, floor) for floor in FLOOR_NAMES for arm in self._with(floor)]
        pretrained = [
            System(name, mode) for mode in self.modes if mode == "ctc" for name in self.pretrainings
        ]
        trained = [System(arm, mode) for mode in self.modes for arm in self.arms]
        return [System("whisper", ""), *floors, *pretrained, *trained]

    def _with(self, mode: str) -> list[str]:
        """The arms decoded in ``mode`` with any seed; the first one, if none is, is expected."""
        found = [
            a for a in self.arms if any((self.run_dir(a, s) / mode).is_dir() for s in self.seeds)
        ]
        return found or list(self.arms[:1])

    def score_file(self, system: System, seed: int, test_set: str) -> Path:
        """Where the score of one test set should be."""
        if not system.mode:
            return self.directory / "whisper" / "zero_shot" / test_set / "scoring" / "score.json"
        return self.run_dir(system.arm, seed) / system.mode / test_set / "scoring" / "score.json"

    def complete_seeds(self, system: System, test_sets: Sequence[str]) -> list[int]:
        """The seeds for which all score files are there; the baseline counts as one seed."""
        seeds = self.seeds[:1] if not system.mode else self.seeds
        return [s for s in seeds if all(self.score_file(system, s, t).is_file() for t in test_sets)]

    def row(self, system: System, seeds: Sequence[int], test_sets: Sequence[str]) -> Row:
        """The scores of one system.

        Raises:
            UserError: as :func:`espnet_otreg.scoring.rows.load_row`.
        """
        files = [self.score_file(system, seed, name) for name in test_sets for seed in seeds]
        return load_row(system.name, files)

    def step_times(self) -> dict[str, dict[str, float]]:
        """Of each arm ``ratio`` to the control's step, ``low`` and ``high``, as
        tools/benchmark_step.py has measured them; empty if it has not."""
        path = self.directory / "step_times.json"
        times: dict[str, dict[str, float]] = read_json(path)["arms"] if path.is_file() else {}
        return times

    def missing(self) -> list[str]:
        """One sentence for each system that lacks scores."""
        sentences = []
        for system in self.systems():
            expected = self.seeds[:1] if not system.mode else self.seeds
            absent = sorted(set(expected) - set(self.complete_seeds(system, TEST_SETS)))
            if not absent:
                continue
            if len(absent) == len(expected):
                sentences.append(f"{system.name}: not run, or not scored on all test sets.")
            else:
                sentences.append(f"{system.name}: no scores of seed {', '.join(map(str, absent))}.")
        return sentences


def find_experiment(
    directory: str | Path,
    arms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    modes: Sequence[str] = (),
    pretrainings: Sequence[str] = (),
) -> Experiment:
    """The experiment in a directory; what is not said is what is found there.

    Raises:
        UserError: if there is no training run.
    """
    directory = Path(directory)
    runs = [
        (match["arm"], int(match["seed"]))
        for path in sorted(directory.glob("*_s*"))
        if path.is_dir() and (match := _RUN.fullmatch(path.name))
    ]
    if not runs:
        raise UserError("no training run in it", str(directory), "run stages 7 to 11 first")
    found = {arm for arm, _ in runs}
    in_table = [*(arm for arm in ARM_NAMES if arm in found), *sorted(found - set(ARM_NAMES))]
    modes_found = {path.parents[1].name for path in directory.glob("*_s*/*/*/scoring")}
    in_order = [mode for mode in MODE_NAMES if mode in modes_found]
    return Experiment(
        directory,
        tuple(arms) or tuple(arm for arm in in_table if not is_pretraining(arm)),
        tuple(seeds) or tuple(sorted({seed for _, seed in runs})),
        tuple(mode for mode in modes or in_order if mode not in FLOOR_NAMES),
        tuple(pretrainings) or tuple(filter(is_pretraining, in_table)) or ("pretrain",),
    )
