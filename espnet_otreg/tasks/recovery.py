"""Make a training directory consistent after a kill, a full disk or a damaged file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet2.train.reporter import Reporter

from espnet_otreg.errors import UserError
from espnet_otreg.files import copy_file, flush_directory, temporary_name
from espnet_otreg.slm.checkpoint import load_checkpoint, save_checkpoint

CHECKPOINT = "checkpoint.pth"
PREVIOUS = "checkpoint.previous.pth"


def keep_previous(directory: Path) -> None:
    """Copy the last checkpoint, because ESPnet writes the next one over it."""
    if (directory / CHECKPOINT).is_file():
        copy_file(directory / CHECKPOINT, directory / PREVIOUS)


def flush(directory: Path) -> None:
    """Have the disk hold all checkpoints and models, which ESPnet leaves to the system's cache."""
    for path in directory.glob("*.pth"):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    flush_directory(directory)


def repair(directory: Path, criteria: Sequence[Sequence[str]]) -> int:
    """Bring the files of a training into the state in which its last whole checkpoint left them.

    ESPnet writes ``checkpoint.pth`` in place, the epoch's model after it, and the links to the
    latest and the best model last. A kill in between leaves a cut-off checkpoint, a missing model
    or links to an older one. The copy of the epoch before takes the place of a damaged checkpoint,
    a missing or damaged model is made again from the checkpoint that holds it, and links are set
    as the checkpoint says.

    Args:
        directory: of the training.
        criteria: ESPnet's ``best_model_criterion``: phase, statistic and ``min`` or ``max``.

    Returns:
        The last finished epoch, 0 if there is none.

    Raises:
        UserError: if both copies are damaged or there is none beside models, or the model of an
            epoch that neither holds is damaged.
    """
    for path in directory.glob(".*.tmp"):  # cut off by a kill
        path.unlink()
    current, copy = directory / CHECKPOINT, directory / PREVIOUS
    content, previous = _read(current), _read(copy)
    if content is None:
        if previous is None:
            return _begin_anew(directory)
        content = previous
        logging.warning(
            "%s cannot be used: training goes on from the copy of epoch %d in %s",
            current, _epoch_of(content), copy,
        )  # fmt: skip
        copy_file(copy, current)
    epoch = _epoch_of(content)
    _restore_model(directory, content)
    for path in models(directory):
        _check_model(path, epoch, previous)
    _set_links(directory, content["reporter"], criteria)
    return epoch


def _read(path: Path) -> dict[str, Any] | None:
    """A checkpoint's content, or None if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        return load_checkpoint(path)
    except UserError as error:
        logging.warning("%s: %s", path, error.what)
        return None


def _epoch_of(content: Mapping[str, Any]) -> int:
    return int(content["reporter"]["epoch"])


def models(directory: Path) -> list[Path]:
    """The models of single epochs.

    >>> models(Path("exp/none"))
    []
    """
    return [p for p in directory.glob("*epoch.pth") if re.fullmatch(r"\d+epoch", p.stem)]


def _begin_anew(directory: Path) -> int:
    """The first checkpoint was cut off, unless there is something to lose."""
    found = [name for name in (CHECKPOINT, PREVIOUS) if (directory / name).exists()]
    if models(directory) or len(found) == 2:
        raise UserError(
            "both checkpoints are damaged" if found else f"models of epochs, but no {CHECKPOINT}",
            str(directory),
            f"restore {CHECKPOINT}, or give --overwrite true to train anew",
        )
    if CHECKPOINT in found:
        logging.warning("%s: the first epoch begins anew", directory / CHECKPOINT)
        (directory / CHECKPOINT).unlink()
    return 0


def _restore_model(directory: Path, content: Mapping[str, Any]) -> None:
    """Write the model of a checkpoint's epoch unless it is there, whole."""
    path = directory / f"{_epoch_of(content)}epoch.pth"
    if _read(path) is None:
        logging.warning("%s is made again from %s", path, CHECKPOINT)
        save_checkpoint(path, content["model"])


def _check_model(path: Path, epoch: int, previous: Mapping[str, Any] | None) -> None:
    """Mend or refuse a damaged model of an earlier epoch, which an average may need."""
    if _read(path) is not None:
        return
    own = int(path.stem.removesuffix("epoch"))
    if own > epoch:  # of an epoch that is trained again
        path.unlink()
    elif previous is not None and _epoch_of(previous) == own:
        _restore_model(path.parent, previous)
    else:
        raise UserError(
            "this model is damaged, and no checkpoint holds its epoch any more",
            str(path),
            "train anew, or restore the file from a backup",
        )


def _set_links(directory: Path, state: Any, criteria: Sequence[Sequence[str]]) -> None:
    reporter = Reporter()
    reporter.load_state_dict(state)
    wanted = {"latest.pth": reporter.get_epoch()}
    for phase, key, mode in criteria:
        if reporter.has(phase, key):
            wanted[f"{phase}.{key}.best.pth"] = reporter.get_best_epoch(phase, key, mode)
    for name, epoch in wanted.items():
        target = f"{epoch}epoch.pth"
        if (directory / target).is_file():
            link = temporary_name(directory / name)
            link.symlink_to(target)
            os.replace(link, directory / name)
    for link in directory.glob("*.pth"):
        if link.is_symlink() and not link.exists():
            link.unlink()
