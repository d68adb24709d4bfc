"""ESPnet's trainer with checkpoints that survive a kill, and the step count for regularizers."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from espnet2.train.trainer import Trainer

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, lock_directory
from espnet_otreg.slm.checkpoint import naming_checkpoint
from espnet_otreg.tasks.sanity import overfit_ten
from espnet_otreg.tasks.timing import data_wait_share

CHECKPOINT = "checkpoint.pth"
PREVIOUS = "checkpoint.previous.pth"


def _read(path: Path) -> dict[str, Any] | None:
    """A checkpoint's content, or None if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
        return content
    except Exception as error:  # a cut-off file raises many kinds
        logging.warning("%s is damaged (%s)", path, type(error).__name__)
        return None


def _copy_whole(source: Path, target: Path) -> None:
    with open(source, "rb") as file, atomic_write(target, "wb") as copy:
        shutil.copyfileobj(file, copy)


@contextlib.contextmanager
def _disk_errors(directory: Path) -> Iterator[None]:
    """Make a sentence of what PyTorch raises where a checkpoint has no room, and remove it.

    Raises:
        UserError: if a checkpoint could not be written.
    """
    try:
        yield
    except RuntimeError as error:
        if "inline_container" not in str(error) and "PytorchStreamWriter" not in str(error):
            raise
        for path in directory.glob("*.pth"):
            if not zipfile.is_zipfile(path):
                path.unlink()
        raise UserError(
            "a checkpoint could not be written, because the disk is full or files are limited",
            str(directory),
            "free some space and run the same command again",
        ) from error


def repair(directory: Path) -> int:
    """Make a training directory consistent after a kill.

    ESPnet writes ``checkpoint.pth`` in place and the epoch's model after it: a kill in between
    leaves a cut-off checkpoint or a missing model. The copy of the epoch before takes the place
    of a damaged checkpoint, and a missing model is rebuilt from the checkpoint.

    Returns:
        The last finished epoch, 0 if there is none.

    Raises:
        UserError: if both copies are damaged.
    """
    current = directory / CHECKPOINT
    content = _read(current)
    if content is None:
        content = _read(directory / PREVIOUS)
        if content is None:
            if current.exists() and (directory / PREVIOUS).exists():
                raise UserError("both checkpoints are damaged", str(directory), "train anew")
            current.unlink(missing_ok=True)
            return 0
        _copy_whole(directory / PREVIOUS, current)
    epoch = int(content["reporter"]["epoch"])
    model = directory / f"{epoch}epoch.pth"
    if _read(model) is None:
        temporary = directory / f".{model.name}.tmp"
        torch.save(content["model"], temporary)
        os.replace(temporary, model)
    for link in directory.glob("*.pth"):
        if link.is_symlink() and not link.exists():
            link.unlink()
    return epoch


class SLMTrainer(Trainer):
    """ESPnet's trainer; see the module's first line."""

    sanity = False

    @classmethod
    def run(cls, model: Any, *args: Any, **kwargs: Any) -> None:
        """Train, holding the directory against a second run.

        Raises:
            UserError: if another run holds the directory or both checkpoints are damaged.
        """
        options = kwargs["trainer_options"]
        distributed = kwargs["distributed_option"]
        directory = Path(options.output_dir)
        model.remember_start()
        if cls.sanity:
            overfit_ten(model, kwargs["train_iter_factory"].build_iter(1), options.ngpu)
        if distributed.distributed and distributed.dist_rank != 0:
            torch.distributed.barrier()
            super().run(model, *args, **kwargs)
            return
        with lock_directory(directory), _disk_errors(directory):
            if options.resume:
                repair(directory)
            if distributed.distributed:
                torch.distributed.barrier()
            super().run(model, *args, **kwargs)

    @staticmethod
    def resume(checkpoint: str | Path, *args: Any, **kwargs: Any) -> None:
        """Load a checkpoint of the same configuration."""
        with naming_checkpoint(checkpoint):
            Trainer.resume(checkpoint, *args, **kwargs)

    @classmethod
    def train_one_epoch(
        cls, model: torch.nn.Module, iterator: Iterable[Any], **kwargs: Any
    ) -> bool:
        """One epoch; the model learns before every batch how many steps were taken."""
        reporter, accumulate = kwargs["reporter"], kwargs["options"].accum_grad
        inner = getattr(model, "module", model)

        def counted() -> Iterator[Any]:
            first = reporter.get_total_count()
            for index, batch in enumerate(iterator):
                inner.step = (first + index) // accumulate
                yield batch

        result: bool = super().train_one_epoch(model=model, iterator=counted(), **kwargs)
        share = 100 * data_wait_share(reporter.stats)
        logging.info("epoch %d: %.1f %% of the time was waiting for data", reporter.epoch, share)
        return result

    @classmethod
    def validate_one_epoch(cls, **kwargs: Any) -> None:
        """Validate; keep the last good checkpoint, because ESPnet overwrites it right after."""
        super().validate_one_epoch(**kwargs)
        current = Path(kwargs["options"].output_dir) / CHECKPOINT
        if current.is_file() and kwargs["distributed_option"].dist_rank in (None, 0):
            _copy_whole(current, current.with_name(PREVIOUS))
