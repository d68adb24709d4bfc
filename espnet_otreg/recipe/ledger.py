"""Which steps of a recipe are done: ``DIR/.done`` beside what the step made.

A step is one directory of results, such as ``dump/features/train`` or ``exp/mini/otreg_s1``.
:func:`begin` decides whether it has to run, :func:`finish` records that it has run. In between
``DIR/.started`` says for which settings the half-made results in ``DIR`` are.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json
from espnet_otreg.recipe.facts import (
    command_settings,
    digest,
    input_facts,
    output_facts,
    that_count,
)

DONE, STARTED = ".done", ".started"
# Training on from an earlier end is no mixture: the schedule before that end was the same.
RAISABLE = "max_epoch"


@dataclasses.dataclass(frozen=True)
class Step:
    """What a recipe says about a step.

    Args:
        stage: name of the stage, for messages.
        directory: where the results go.
        settings: extra settings that the command line does not show.
        command: the command line; its flags and its YAML file are settings too.
        inputs: files or directories that the step reads.
        upstream: directories of the steps that made the inputs.
        outputs: files or directories that must be there at the end.
        training: results of an earlier run are never overwritten, only continued.
    """

    stage: str
    directory: str
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    command: Sequence[str] = ()
    inputs: Sequence[str] = ()
    upstream: Sequence[str] = ()
    outputs: Sequence[str] = ()
    training: bool = False


@dataclasses.dataclass(frozen=True)
class Decision:
    """``record`` is None if the step still holds; ``reason`` says why it does or does not."""

    reason: str
    record: dict[str, Any] | None


def begin(step: Step, force: bool = False) -> Decision:
    """Decide whether ``step`` has to run, and prepare its directory if so.

    Raises:
        UserError: if an input is missing, a predecessor is not done, or the directory holds a
            training run with other settings.
    """
    directory = Path(step.directory)
    before = _read_record(directory)
    record = _make_record(step, before)
    changes = _changes(before, record) if before else []
    if force:
        _empty(directory, before, step.training)
        reason = "forced"
    elif changes:
        if not _only_raises(before, record):
            if step.training:
                raise UserError(
                    f"holds a training run with other settings: {'; '.join(changes)}",
                    step.directory,
                    "use --force to start it anew, or another --tag to keep it",
                )
            _empty(directory, before, training=False)
        reason = "; ".join(changes)
    elif (directory / DONE).exists():
        faults = _output_faults(before["outputs"], step.outputs)
        if not faults:
            return Decision("up to date", None)
        reason = "; ".join(faults)
    elif before:
        reason = "it was interrupted"
    elif step.training and (directory / "checkpoint.pth").exists():
        raise UserError(
            "holds a training run of unknown settings",
            step.directory,
            "use --force to start it anew, or another --tag to keep it",
        )
    else:
        reason = "not done yet"
    (directory / DONE).unlink(missing_ok=True)
    write_json(directory / STARTED, record)
    return Decision(reason, record)


def finish(directory: str, record: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Write ``DIR/.done``.

    Args:
        directory: of the step.
        record: what :func:`begin` gave.
        seconds: wall time of the step.

    Raises:
        UserError: if an output is missing or empty.
    """
    outputs = output_facts(record["wanted"])
    empty = [name for name, fact in outputs.items() if fact["size"] == 0]
    if empty:
        raise UserError("is empty at the end of its stage", empty[0], "look at the stage's log")
    done = {**record, "outputs": outputs, "seconds": round(seconds, 1)}
    done["digest"] = digest(done)
    write_json(Path(directory) / DONE, done)
    (Path(directory) / STARTED).unlink(missing_ok=True)
    return done


def _read_record(directory: Path) -> dict[str, Any]:
    for name in (DONE, STARTED):
        if (directory / name).exists():
            return read_json(directory / name)
    return {}


def _make_record(step: Step, before: Mapping[str, Any]) -> dict[str, Any]:
    settings = {**command_settings(step.command), **step.settings}
    inputs = input_facts(step.inputs, before.get("inputs", {}))
    upstream = {name: _upstream_digest(name) for name in step.upstream}
    return {
        "stage": step.stage,
        "settings": settings,
        "inputs": inputs,
        "upstream": upstream,
        "wanted": list(step.outputs),
    }


def _upstream_digest(directory: str) -> str:
    path = Path(directory) / DONE
    if not path.exists():
        raise UserError("is not finished", directory, "run its stage first")
    return read_json(path)["digest"]


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Every difference, by name."""
    old, new = that_count(before["settings"]), now["settings"]
    found = [
        f"{key} was {_shown(old.get(key))}, is {_shown(new.get(key))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    for name in sorted(before["inputs"].keys() | now["inputs"].keys()):
        sums = [side["inputs"].get(name, {}).get("sha256") for side in (before, now)]
        if sums[0] != sums[1]:
            found.append(f"input {name} changed")
    for name in sorted(before["upstream"].keys() | now["upstream"].keys()):
        if before["upstream"].get(name) != now["upstream"].get(name):
            found.append(f"{name} was made anew")
    return found


def _shown(value: str | None) -> str:
    return "not set" if value is None else value or "empty"


def _only_raises(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a larger number of epochs is all that changed."""
    old, new = dict(before["settings"]), dict(now["settings"])
    epochs = old.pop(RAISABLE, ""), new.pop(RAISABLE, "")
    same = _changes({**before, "settings": old}, {**now, "settings": new}) == []
    return same and all(n.isdecimal() for n in epochs) and int(epochs[1]) > int(epochs[0])


def _output_faults(recorded: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    faults = []
    for name, fact in recorded.items():
        path, size = Path(name), fact["size"]
        if not path.exists():
            faults.append(f"{name} is missing")
        elif path.stat().st_size != size:
            faults.append(f"{name} had {size} bytes, has {path.stat().st_size}")
    known = [*recorded, *(str(parent) for name in recorded for parent in Path(name).parents)]
    faults += [f"{name} is wanted now" for name in wanted if str(Path(name)) not in known]
    return faults[:3]


def _empty(directory: Path, before: Mapping[str, Any], training: bool) -> None:
    """Remove what the step made; of a directory that is no training run, nothing else."""
    if training:
        shutil.rmtree(directory, ignore_errors=True)
        return
    for name in before.get("outputs", {}):
        Path(name).unlink(missing_ok=True)
    shutil.rmtree(directory / "parts", ignore_errors=True)
