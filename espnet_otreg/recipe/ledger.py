"""Which steps of a recipe are done: ``DIR/.done`` beside what the step made.

A step is one directory of results, such as ``dump/features/train`` or ``exp/mini/otreg_s1``.
:func:`examine` says whether it has to run, :func:`prepare` makes its directory ready, and
:func:`finish` records that it has run. In between ``DIR/.started`` says for which settings the
half-made results in ``DIR`` are.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.data.digests import recordings_changed
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json
from espnet_otreg.recipe.facts import digest, file_facts, step_settings, without_ignored

DONE, STARTED = ".done", ".started"
# Training on from an earlier end is no mixture: the schedule before that end was the same.
RAISABLE = "max_epoch"
_FIRST_FORMAT = "1"  # of records from before formats were recorded


@dataclasses.dataclass(frozen=True)
class Step:
    """What a recipe says about a step.

    Args:
        stage: name of the stage.
        directory: where the results go.
        settings: extra settings that the command lines do not show.
        commands: the command lines; their flags and their YAML files are settings too.
        stated_only: they are not, only the format of what they make.
        inputs: files or directories that the step reads.
        optional_inputs: likewise, those of them that are there.
        recordings: data directories whose recordings the step reads; when one has changed, the
            command looks which, by content.
        upstream: directories of the steps that made the inputs.
        outputs: files or directories that must be there at the end.
        shards: likewise; the command knows which of those it made before still hold, so that
            only ``force`` removes them.
        training: results of an earlier run are never overwritten, only continued.
    """

    stage: str
    directory: str
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    commands: Sequence[Sequence[str]] = ()
    stated_only: bool = False
    inputs: Sequence[str] = ()
    optional_inputs: Sequence[str] = ()
    recordings: Sequence[str] = ()
    upstream: Sequence[str] = ()
    outputs: Sequence[str] = ()
    shards: Sequence[str] = ()
    training: bool = False


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a step has to run.

    Args:
        reason: why it has to, or ``up to date``.
        record: None if the step still holds; else what :func:`finish` takes at the end.
        again: whether something of an earlier run is made anew or continued.
        clears: whether what an earlier run made has to go first.
        forced: whether it runs because the user wants it.
        before: the record of that run.
    """

    reason: str
    record: dict[str, Any] | None
    again: bool = True
    clears: bool = False
    forced: bool = False
    before: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def examine(step: Step, force: bool = False) -> Decision:
    """Decide whether ``step`` has to run; nothing is written.

    Raises:
        UserError: if an input is missing, a predecessor is not done, or the directory holds a
            training run with other settings.
    """
    directory = Path(step.directory)
    before = _read_record(directory)
    record = _make_record(step, before)
    changes = _changes(before, record) if before else []
    if force:
        return Decision("forced", record, clears=True, forced=True, before=before)
    if changes:
        raises = _only_raises(before, record)
        if step.training and not raises:
            raise UserError(
                f"holds a training run with other settings: {'; '.join(changes)}",
                step.directory,
                "use --force to start it anew, or another --tag to keep it",
            )
        return Decision("; ".join(changes), record, clears=not raises, before=before)
    if (directory / DONE).exists():
        faults = _output_faults(before["outputs"], record["wanted"])
        if not faults:
            return Decision("up to date", None)
        return Decision("; ".join(faults), record, before=before)
    if before:
        return Decision("it was interrupted", record, before=before)
    if step.training and (directory / "checkpoint.pth").exists():
        raise UserError(
            "holds a training run of unknown settings",
            step.directory,
            "use --force to start it anew, or another --tag to keep it",
        )
    return Decision("not done yet", record, again=False)


def prepare(step: Step, decision: Decision) -> None:
    """Make the directory of a step that has to run ready for it."""
    directory = Path(step.directory)
    if decision.clears:
        _clear(step, decision)
    (directory / DONE).unlink(missing_ok=True)
    write_json(directory / STARTED, decision.record)


def finish(
    directory: str, record: Mapping[str, Any], seconds: float, **of_these: float
) -> dict[str, Any]:
    """Write ``DIR/.done``.

    Args:
        directory: of the step.
        record: that of the :class:`Decision`.
        seconds: wall time of the step; of several that the same commands made, its share.
        of_these: seconds of them for one thing, as :func:`espnet_otreg.log_times.spent` has them.

    Raises:
        UserError: if an output is missing or empty.
    """
    outputs = file_facts(record["wanted"], {})
    empty = [name for name, fact in outputs.items() if fact["size"] == 0]
    if empty:
        raise UserError("is empty at the end of its stage", empty[0], "look at the stage's log")
    done = {**record, "outputs": outputs, "seconds": round(seconds, 1)}
    if of_these:
        done["of_these"] = of_these
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
    settings = step_settings(step.commands)
    if step.stated_only:
        settings = {key: value for key, value in settings.items() if key == "format"}
    settings.update(step.settings)
    there = [name for name in step.optional_inputs if Path(name).exists()]
    inputs = file_facts([*step.inputs, *there], before.get("inputs", {}))
    for name in step.recordings:
        inputs[f"recordings of {name}"] = {"sha256": recordings_changed(name)}
    upstream = {name: _upstream_digest(name) for name in step.upstream}
    return {
        "stage": step.stage,
        "settings": settings,
        "inputs": inputs,
        "upstream": upstream,
        "wanted": [*step.outputs, *step.shards],
    }


def _upstream_digest(directory: str) -> str:
    path = Path(directory) / DONE
    if not path.exists():
        raise UserError("is not finished", directory, "run its stage first")
    return read_json(path)["digest"]


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Every difference, by name."""
    old, new = without_ignored(before["settings"]), now["settings"]
    if "format" in new:
        old.setdefault("format", _FIRST_FORMAT)
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
        elif file_facts([name], recorded)[str(path)]["sha256"] != fact["sha256"]:
            faults.append(f"{name} was changed")
    known = [*recorded, *(str(parent) for name in recorded for parent in Path(name).parents)]
    faults += [f"{name} is wanted now" for name in wanted if str(Path(name)) not in known]
    return faults[:3]


def _clear(step: Step, decision: Decision) -> None:
    """Remove what the step made; of a directory that is no training run, nothing else."""
    directory = Path(step.directory)
    if step.training:
        shutil.rmtree(directory, ignore_errors=True)
        return
    kept = () if decision.forced else tuple(Path(name) for name in step.shards)
    for name in decision.before.get("outputs", {}):
        if not any(path in Path(name).parents for path in kept):
            Path(name).unlink(missing_ok=True)
    shutil.rmtree(directory / "parts", ignore_errors=True)
