"""What a training directory holds, and whether a command begins, goes on or is done there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet_otreg.data.digests import INPUTS
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, read_yaml, write_json
from espnet_otreg.slm.checkpoint import load_checkpoint
from espnet_otreg.tasks.epoch import INTERRUPTED
from espnet_otreg.tasks.recovery import CHECKPOINT, PREVIOUS, models
from espnet_otreg.tasks.same_config import differences, length_errors, same_end

CONFIG = "config.yaml"
FINISHED = "finished.json"
PRECISION = "precision.json"  # what auto came to
_STAGING = ".start"
_SHOWN = 6  # differences; the rest is counted
# What ESPnet's trainer writes beside checkpoints, links to models and averages of them.
_BESIDE = ("tensorboard/*/events.out.tfevents.*", "images/*.png", "att_ws/*/*.png")
_MADE_OF_MODELS = re.compile(r"latest|(train|valid)\..+\.(best|ave(_\d+best)?)(\.till\d+epoch)?")
_ANEW = "--overwrite true to start anew"


@dataclass(frozen=True)
class Start:
    """How a training starts.

    Args:
        directory: of the training.
        anew: whether what an earlier training has left there is to be removed.
        inputs: digests of the files that it reads, by path.
        again: what a command that was stopped says of how to go on.
    """

    directory: Path
    anew: bool
    inputs: Mapping[str, str]
    again: str = "run the same command again to go on from there"


def holds_training(directory: Path) -> bool:
    """Whether something is there that a training has learnt; a configuration alone is nothing.

    >>> holds_training(Path("exp/none"))
    False
    """
    names = (CHECKPOINT, PREVIOUS, INTERRUPTED)
    return any((directory / name).exists() for name in names) or bool(models(directory))


def plan_start(
    options: Mapping[str, Any],
    defaults: Mapping[str, Any],
    inputs: Mapping[str, str],
    world_size: int = 1,
) -> Start | None:
    """Decide what a command does in its directory; nothing is written.

    Args:
        options: of the command.
        defaults: of all options.
        inputs: see :func:`~espnet_otreg.tasks.same_config.content_of_inputs`.
        world_size: number of processes.

    Returns:
        None if the training is finished.

    Raises:
        UserError: if the directory holds a training that the command would not go on with.
    """
    directory = Path(options["output_dir"])
    if directory.exists() and not directory.is_dir():
        raise UserError("a file, and no directory", str(directory), "give another --output_dir")
    if options.get("overwrite"):
        return Start(directory, True, inputs, "run it again without --overwrite to go on")
    now = {**options, INPUTS: inputs}
    if not holds_training(directory):
        return Start(directory, bool(_leftovers(directory, now, defaults)), inputs)
    epochs = epochs_done(directory)
    what = f"holds a training of {epochs} epoch{'s' * (epochs != 1)}"
    if not options.get("resume", True):
        raise UserError(
            f"{what}, which --resume false would lose",
            str(directory),
            f"leave --resume out to go on with it, or give {_ANEW}",
        )
    before = _recorded(directory, what)
    found = differences(before, now, defaults)
    found += length_errors(before, now, epochs, world_size)
    if found:
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        raise UserError(
            f"{what} with another configuration ({', '.join([*found[:_SHOWN], *more])})",
            str(directory),
            f"give what it was to go on, another --output_dir, or {_ANEW}",
        )
    if same_end(before, now) and _is_whole(directory):
        return None
    return Start(directory, False, inputs)


def require_no_training(directory: Path, option: str) -> None:
    """Keep other work than a training out of the directory of one.

    Raises:
        UserError: if it holds a training.
    """
    if holds_training(directory):
        raise UserError("holds a training", str(directory), f"give {option} another --output_dir")


def epochs_done(directory: Path) -> int:
    """The last epoch of which there is a model; 0 if there is none.

    >>> epochs_done(Path("exp/none"))
    0
    """
    return max((int(path.stem.removesuffix("epoch")) for path in models(directory)), default=0)


def checkpoints(directory: Path) -> list[Path]:
    """What a training has saved and made of it: checkpoints, models, links to them and averages.

    Of the checkpoints, those that may not be there are named, too.

    >>> [path.name for path in checkpoints(Path("exp/none"))]
    ['checkpoint.previous.pth', 'checkpoint.pth', 'interrupted.pth']
    """
    own = {CHECKPOINT, PREVIOUS, INTERRUPTED}
    made = [p for p in directory.glob("*.pth") if _MADE_OF_MODELS.fullmatch(p.stem)]
    # The checkpoints last: a kill in between must not leave models that belong to none.
    return [*made, *models(directory), *sorted(directory / name for name in own)]


def note_end(directory: Path, epochs: int) -> None:
    """Write that a training is finished, and which files are its models.

    Args:
        directory: of the training.
        epochs: that it has finished.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> (directory / "1epoch.pth").touch()
    >>> note_end(directory, 1)
    >>> read_json(directory / FINISHED)
    {'epochs': 1, 'files': ['1epoch.pth']}
    """
    files = sorted(path.name for path in checkpoints(directory) if path.is_file())
    write_json(directory / FINISHED, {"epochs": epochs, "files": files})


def remove_training(directory: Path) -> None:
    """Remove what a training has left, and no other file.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> for name in ("checkpoint.pth", "3epoch.pth", "valid.loss.best.pth", "notes.pth"):
    ...     (directory / name).touch()
    >>> remove_training(directory)
    >>> [path.name for path in directory.iterdir()]
    ['notes.pth']
    """
    for name in (FINISHED, PRECISION):
        (directory / name).unlink(missing_ok=True)
    for path in [*checkpoints(directory), *(p for each in _BESIDE for p in directory.glob(each))]:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def config_held_back(options: Any) -> Iterator[None]:
    """Let ESPnet write its ``config.yaml`` aside, because it does so before it can train.

    A run that is refused after that would have changed what the file says of an earlier training.

    Args:
        options: the namespace whose ``output_dir`` ESPnet reads.
    """
    staging = Path(options.output_dir) / _STAGING
    options.output_dir = str(staging)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (staging / CONFIG).unlink(missing_ok=True)
            staging.rmdir()


def _recorded(directory: Path, what: str) -> dict[str, Any]:
    try:
        return read_yaml(directory / CONFIG)
    except UserError as error:
        raise UserError(
            f"{what}, and its {CONFIG} cannot be read ({error.what})",
            str(directory),
            f"restore that file, give another --output_dir, or {_ANEW}",
        ) from error


def _leftovers(
    directory: Path, now: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[str] | bool:
    """Whether there are reports of another training, which ended before it saved anything."""
    try:
        return differences(read_yaml(directory / CONFIG), now, defaults)
    except (UserError, OSError):
        return False


def _is_whole(directory: Path) -> bool:
    """Whether a training said that it was finished and all that it left is undamaged."""
    if not (directory / FINISHED).is_file():
        return False
    try:
        kept = set(read_json(directory / FINISHED)["files"])
        for path in {(directory / name).resolve() for name in kept}:
            load_checkpoint(path)
    except (UserError, OSError, KeyError, TypeError):
        return False
    return True
