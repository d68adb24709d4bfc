"""What a recipe took on a machine, and what it fetched: ``conf/PRESET/times.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json
from espnet_otreg.recipe.machine import Machine
from espnet_otreg.scoring.table import Table

_FORMAT = "otreg-times-1"
_EXPERIMENT = "EXP/"  # stands for the directory of the experiment


@dataclass(frozen=True)
class StepTime:
    """What one step took.

    Attributes:
        stage: of the recipe.
        step: its directory.
        seconds: until it was done.
        of_these: seconds of them for ``starting`` programs and for ``downloading``.
    """

    stage: str
    step: str
    seconds: float
    of_these: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetch:
    """What is fetched: its directory below the downloads, the size of its archives, its licence."""

    name: str
    megabytes: float
    licence: str


@dataclass(frozen=True)
class Times:
    """A run of a recipe on a machine.

    Attributes:
        machine: see :func:`espnet_otreg.recipe.machine.measure`.
        installation: packages of Python, megabytes on the disk, seconds.
        fetches: data and models.
        steps: all steps.
    """

    machine: Machine
    installation: Mapping[str, float]
    fetches: tuple[Fetch, ...]
    steps: tuple[StepTime, ...]

    def save(self, path: Path) -> None:
        """Write ``times.json``."""
        write_json(path, {"format": _FORMAT, **asdict(self)})

    def like(self, stage: str, step: str, exp: str) -> StepTime | None:
        """What a step took: itself, else the mean over the steps of its stage; None if there are
        none.

        Args:
            stage: of the recipe.
            step: its directory.
            exp: the directory of the experiment.
        """
        of_stage = [time for time in self.steps if time.stage == stage]
        name = relative(step, exp)
        alike = [time for time in of_stage if time.step == name] or of_stage
        if not alike:
            return None
        kinds = {kind for time in alike for kind in time.of_these}
        return StepTime(
            stage,
            name,
            sum(time.seconds for time in alike) / len(alike),
            {k: sum(time.of_these.get(k, 0.0) for time in alike) / len(alike) for k in kinds},
        )


def relative(step: str, exp: str) -> str:
    """A step's directory, whatever the experiment is called.

    >>> relative("exp/demo_2/sft_s1", "exp/demo_2"), relative("dump/raw/dev", "exp/demo")
    ('EXP/sft_s1', 'dump/raw/dev')
    """
    return _EXPERIMENT + step.removeprefix(f"{exp}/") if step.startswith(f"{exp}/") else step


def load_times(path: Path) -> Times:
    """Read ``times.json``.

    Raises:
        UserError: if it is damaged or of another version.
    """
    values = read_json(path)
    try:
        if values.pop("format") != _FORMAT:
            raise ValueError("of another version")
        machine = values["machine"]
        return Times(
            Machine(machine["processor"], machine["starting"], tuple(machine["products"])),
            values["installation"],
            tuple(Fetch(**fetch) for fetch in values["fetches"]),
            tuple(StepTime(**step) for step in values["steps"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        mend = "write it anew with tools/record_times.py"
        raise UserError(f"these are no times of a recipe ({error})", str(path), mend) from error


def stage_table(times: Times, stages: Iterable[str]) -> Table:
    """Seconds by stage, and what of them is not work: the table of the documents.

    Args:
        times: of a run.
        stages: the recipe's, in their order.
    """
    first = times.installation["installed_seconds"]
    lines: list[tuple[str, ...]] = [("installation", f"{first:.0f}", "", "")]
    total = [first, 0.0, 0.0]
    for stage in stages:
        steps = [step for step in times.steps if step.stage == stage]
        row = [sum(step.seconds for step in steps)]
        row += [sum(s.of_these.get(k, 0.0) for s in steps) for k in ("starting", "downloading")]
        total = [a + b for a, b in zip(total, row, strict=True)]
        lines.append((stage, *(f"{value:.0f}" for value in row)))
    lines.append(("all", *(f"{value:.0f}" for value in total)))
    header = ("stage", "seconds", "of these starting programs", "downloading")
    low, high = times.machine.products
    note = (
        f"{times.machine.processor}; {low:.0f} to {high:.0f} GFLOP/s in products of matrices, "
        f"{times.machine.starting:.1f} s to import PyTorch and Transformers."
    )
    return Table("Where the time goes", header, tuple(lines), (note,))
