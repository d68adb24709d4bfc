"""What a run is about to fetch and how long it will take here.

The times are those of a run on another machine (:mod:`espnet_otreg.recipe.times`), scaled by how
fast both are at products of matrices and at starting programs. Downloads are not scaled: nobody
knows the line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_otreg.recipe.display import duration
from espnet_otreg.recipe.ledger import DONE
from espnet_otreg.recipe.machine import Machine, measure
from espnet_otreg.recipe.steps import Declarations, Work
from espnet_otreg.recipe.times import Fetch, StepTime, Times, load_times
from espnet_otreg.scoring.table import Table

_WORTH_TELLING = 120.0  # seconds on the other machine; what is shorter is simply done
_DATA_ROOT = "--data_root"  # what is in such a directory is not fetched

Seconds = tuple[float, float, float]  # lowest, likely, highest


def forecast(declared: Declarations, exp: str, times_file: Path) -> str | None:
    """The text that a run begins with; None if nobody recorded times, or it will be short.

    Args:
        declared: all stages.
        exp: the directory of the experiment.
        times_file: ``conf/PRESET/times.json``, which need not be there.

    Raises:
        UserError: if that file is damaged.
    """
    if not times_file.is_file():
        return None
    times = load_times(times_file)
    waiting = {
        stage.name: [(work, _recorded(work, stage.name, exp, times)) for work in works]
        for stage in declared.stages
        if not stage.skipped and (works := [work for work in stage.works if not _is_done(work)])
    }
    known = [step for works in waiting.values() for _, steps in works for step in steps]
    if sum(step.seconds for step in known) < _WORTH_TELLING:
        return None
    works = [work for stage in waiting.values() for work, _ in stage]
    parts = [fetch_table(to_fetch(works, times.fetches)), time_table(waiting, times, measure())]
    return "\n".join(table.text() for table in parts if table is not None)


def _is_done(work: Work) -> bool:
    """Whether it has run before; whether that still holds is not asked, which takes longer."""
    return all((Path(step.directory) / DONE).is_file() for step in work.steps)


def _recorded(work: Work, stage: str, exp: str, times: Times) -> list[StepTime]:
    found = [times.like(stage, step.directory, exp) for step in work.steps]
    return [step for step in found if step is not None]


def to_fetch(works: Sequence[Work], fetches: Sequence[Fetch]) -> list[Fetch]:
    """Those that are not there yet, of a run that has these works to do."""
    wanted: list[Fetch] = []
    for work in works:
        # A step that fetches says into which directory, by locking it.
        has_copies = any(_value(command.words, _DATA_ROOT) for command in work.commands)
        for directory in [] if has_copies else work.locks:
            missing = [f for f in fetches if not os.path.isdir(os.path.join(directory, f.name))]
            wanted += [fetch for fetch in missing if fetch not in wanted]
    return wanted


def _value(words: Sequence[str], option: str) -> str:
    """What stands behind an option.

    >>> _value(["local/text.sh", "--data_root", ""], "--data_root")
    ''
    """
    following = dict(zip(words, [*words[1:], ""], strict=True))
    return following.get(option, "")


def fetch_table(fetches: Sequence[Fetch]) -> Table | None:
    """Names, sizes and licences; None if nothing is fetched."""
    by_licence: dict[str, list[Fetch]] = {}
    for fetch in fetches:
        by_licence.setdefault(fetch.licence, []).append(fetch)
    lines = tuple(
        (" ".join(fetch.name for fetch in group), licence, _megabytes(group))
        for licence, group in by_licence.items()
    )
    title = f"To be fetched, {_megabytes(fetches)} MB:"
    return Table(title, ("what", "licence", "MB"), lines, names=2) if lines else None


def _megabytes(fetches: Sequence[Fetch]) -> str:
    return f"{sum(fetch.megabytes for fetch in fetches):.0f}"


def scaled(step: StepTime, computes: bool, then: Machine, here: Machine) -> Seconds:
    """What a step that took some time on one machine takes on another.

    >>> then = Machine("a", starting=2.0, products=(50.0, 50.0))
    >>> here = Machine("b", starting=4.0, products=(20.0, 25.0))
    >>> scaled(StepTime("pretrain", "a", 110.0, {"starting": 10.0}), True, then, here)
    (220.0, 245.0, 270.0)
    """
    starting = here.starting / then.starting
    fixed = step.of_these.get("starting", 0.0) * starting + step.of_these.get("downloading", 0.0)
    rest = max(0.0, step.seconds - sum(step.of_these.values()))
    if computes:
        low, high = then.products[0] / here.products[1], then.products[1] / here.products[0]
    else:
        low = high = starting
    return fixed + rest * low, fixed + rest * (low + high) / 2, fixed + rest * high


def time_table(
    waiting: Mapping[str, Sequence[tuple[Work, Sequence[StepTime]]]], times: Times, here: Machine
) -> Table:
    """Seconds of each stage on this machine, from the times on another one.

    Args:
        waiting: of each stage what it has to do, and what that took.
        times: of the other machine.
        here: this machine.
    """
    lines, total = [], (0.0, 0.0, 0.0)
    for stage, works in waiting.items():
        seconds = (0.0, 0.0, 0.0)
        for work, steps in works:
            computes = any(command.computes for command in work.commands)
            for step in steps:
                seconds = _plus(seconds, scaled(step, computes, times.machine, here))
        unknown = not any(steps for _, steps in works)
        lines.append((stage, "not known" if unknown else duration(seconds[1])))
        total = _plus(total, seconds)
    low, likely, high = map(duration, total)
    lines.append(("in all", f"{likely} ({low} to {high})"))
    slower = sum(times.machine.products) / sum(here.products)
    note = (
        f"Estimated from a run on another machine ({times.machine.processor}) and a measurement of "
        f"this one: products of matrices take {slower:.1f} times as long here, starting programs "
        f"{here.starting / times.machine.starting:.1f} times. Other work on this machine, and a "
        "slow line, make it longer."
    )
    return Table("Time it will take here:", ("stage", "about"), tuple(lines), (note,))


def _plus(a: Seconds, b: Seconds) -> Seconds:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
