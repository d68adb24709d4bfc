"""The log of a search for settings: one entry for each training that was tried.

A search varies one factor at a time from a reference. An entry says in what a training differs from
that reference, the hours planned and spent, how its loss on the development set fell, and the error
rates of what was scored. Entries are files in a directory; its README.md is made from all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, read_json, write_json
from espnet_otreg.recipe.facts import read_settings
from espnet_otreg.scoring.rows import load_row, macro_rate
from espnet_otreg.scoring.score import GROUPS
from espnet_otreg.scoring.table import Table

_EPOCH = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \(trainer:\d+\) INFO: "
    r"(?P<epoch>\d+)(?P<what>/\d+epoch started|epoch results: .*)"
)
_DEV_LOSS = re.compile(r"\[valid\] .*?\bloss=([0-9.e+-]+)")
_SCORES = "*/*/scoring/score.json"  # below the directory of a training: MODE/SET
# Where a run lies and what is written about it says nothing of what was tried.
_PLACES = frozenset("config output_dir init_param log_interval seed use_matplotlib use_tensorboard "
                    "train_shape_file valid_shape_file".split())  # fmt: skip
_NAME = re.compile(r"[a-z0-9_-]+")  # of a file, and of a heading that is linked to
_CURVE_POINTS = 12


@dataclass(frozen=True)
class Trial:
    """One training that was tried.

    Attributes:
        name: of the entry.
        note: what was asked, in the searcher's words.
        differs: in what its configuration differs from the reference's, by key.
        planned_hours: before it started.
        spent_hours: in its epochs, of all calls together.
        curve: epoch and loss on the development set.
        rates: of each way of decoding and group of sets macro WER and CER, in percent.
        command: that trained it.
    """

    name: str
    note: str
    differs: Mapping[str, str]
    planned_hours: float | None
    spent_hours: float
    curve: tuple[tuple[int, float], ...]
    rates: Mapping[str, Mapping[str, tuple[float, float]]]
    command: str


def read_training_log(text: str) -> tuple[float, tuple[tuple[int, float], ...]]:
    r"""Hours spent in epochs, and the loss on the development set after each of them.

    An epoch that was interrupted counts only as far as its last finished call.

    >>> line = "[vm] 2026-11-29 17:{}:00,1 (trainer:9) INFO: {}\n"
    >>> log = line.format("00", "1/2epoch started") + line.format(
    ...     "30", "1epoch results: [train] loss=9.0, [valid] ce=2.0, loss=3.5, time=2 seconds")
    >>> read_training_log(log)
    (0.5, ((1, 3.5),))
    """
    seconds, curve, started = 0.0, {}, None
    for match in _EPOCH.finditer(text):
        time = datetime.fromisoformat(match["time"])
        if match["what"].startswith("/"):
            started = time
            continue
        if started is not None:
            seconds += (time - started).total_seconds()
            started = None
        if loss := _DEV_LOSS.search(match["what"]):
            curve[int(match["epoch"])] = float(loss[1])
    return seconds / 3600, tuple(sorted(curve.items()))


def read_trial(
    run: Path, name: str, note: str, reference: Path | None, planned_hours: float | None
) -> Trial:
    """What a finished training has left.

    Args:
        run: its directory, ``EXP/RUN_sSEED``.
        name: of the entry.
        note: what was asked.
        reference: the directory of the training that it is compared with, if there is one.
        planned_hours: before it started.

    Raises:
        UserError: if no training is there, or the name is none.
    """
    if not _NAME.fullmatch(name):
        raise UserError("a name has small letters, digits, _ and - only", name, "choose another")
    log = run / "train.log"
    if not log.is_file():
        raise UserError("no log of a training", str(log), "name the directory of a training")
    text = log.read_text("utf-8", "replace")
    spent, curve = read_training_log(text)
    differs = differences(reference, run) if reference is not None else {}
    command = text.partition("\n")[0].removeprefix("# ")
    return Trial(name, note, differs, planned_hours, spent, curve, _rates(run), command)


def differences(reference: Path, run: Path) -> dict[str, str]:
    """Keys whose values in the saved configurations differ, with both of these."""
    one, other = (read_settings(directory / "config.yaml") for directory in (reference, run))
    return {
        key: f"{one.get(key, 'not set')} -> {other.get(key, 'not set')}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key) and key.split(".")[0] not in _PLACES
    }


def _rates(run: Path) -> dict[str, dict[str, tuple[float, float]]]:
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for score in sorted(run.glob(_SCORES)):
        test_set = score.parent.parent
        row = load_row(test_set.parent.name, [score])
        for group in GROUPS:
            if sets := row.group(group):
                rates = tuple(round(macro_rate(sets, measure), 2) for measure in ("wer", "cer"))
                label = group if test_set.name != "dev" else "dev"
                found.setdefault(row.name, {})[label] = (rates[0], rates[1])
    return found


def write_trial(trial: Trial, directory: Path) -> None:
    """Write ``NAME.json`` into the directory of a search, and its README.md anew."""
    write_json(directory / f"{trial.name}.json", asdict(trial))
    with atomic_write(directory / "README.md") as file:
        file.write(page(read_trials(directory)))


def read_trials(directory: Path) -> list[Trial]:
    """All entries of a search.

    Raises:
        UserError: if a file is none.
    """
    trials = []
    for path in sorted(directory.glob("*.json")):
        values: dict[str, Any] = read_json(path)
        try:
            values["curve"] = tuple((int(epoch), float(loss)) for epoch, loss in values["curve"])
            trials.append(Trial(**values))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"no entry of a search ({error})", str(path)) from error
    return trials


def page(trials: Sequence[Trial]) -> str:
    """README.md of a search: a table, the best on the development set first, then every entry."""
    ways = list(dict.fromkeys(way for trial in trials for way in trial.rates))
    ordered = sorted(trials, key=lambda trial: _order(trial, ways))
    columns = [
        (way, group)
        for way in ways
        for group in ("dev", *GROUPS)
        if any(group in trial.rates.get(way, {}) for trial in trials)
    ]
    lines = tuple(
        (
            f"[{trial.name}](#{trial.name})",
            f"{_hours(trial.planned_hours)} / {_hours(trial.spent_hours)}",
            *(_cell(trial.rates.get(way, {}).get(group)) for way, group in columns),
        )
        for trial in ordered
    )
    header = (
        "trial",
        "hours planned / spent",
        *(f"{w}, {g.replace('_', '-')}" for w, g in columns),
    )
    table = Table("WER / CER (%), macro over languages", header, lines)
    spent = sum(trial.spent_hours for trial in trials)
    title = f"# What was tried\n\n{len(trials)} trainings, {spent:.1f} hours. Written by "
    title += "`python -m espnet_otreg.bin.search_log`, never by hand."
    return "\n\n".join([title, table.markdown(), *map(_entry, ordered)]) + "\n"


def _order(trial: Trial, ways: Sequence[str]) -> tuple[float, str]:
    """By the lowest WER on the development set of any way of decoding, then by name."""
    rates = [trial.rates[way]["dev"][0] for way in ways if "dev" in trial.rates.get(way, {})]
    return min(rates, default=float("inf")), trial.name


def _hours(hours: float | None) -> str:
    return "?" if hours is None else f"{hours:.2f}"


def _cell(rates: tuple[float, float] | None) -> str:
    return "-" if rates is None else " / ".join(f"{rate:.1f}" for rate in rates)


def _entry(trial: Trial) -> str:
    step = max(1, -(-len(trial.curve) // _CURVE_POINTS))
    points = [*trial.curve[:-1:step], *trial.curve[-1:]]
    curve = ", ".join(f"{epoch}: {loss:.3f}" for epoch, loss in points) or "none"
    differs = [f"- `{key}`: {values}" for key, values in trial.differs.items()]
    parts = [f"## {trial.name}", trial.note, "\n".join(differs)]
    parts += [
        f"Loss on the development set after epoch: {curve}.",
        f"```bash\n{trial.command}\n```",
    ]
    return "\n\n".join(part for part in parts if part)
