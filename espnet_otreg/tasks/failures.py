"""What PyTorch says where the machine fails, as one sentence."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from espnet_otreg.errors import UserError

_NO_ROOM = ("inline_container", "PytorchStreamWriter")
_DEAD_WORKER = re.compile(r"DataLoader worker \(pid.*?\) (is killed by signal|exited unexpectedly)")
_LOST_PROCESS = re.compile(
    r"Connection closed by peer|Connection reset|Connection refused|Broken pipe|Socket closed|"
    r"[Tt]imed out|[Tt]imeout|remote process exited|NCCL communicator was aborted"
)


@contextlib.contextmanager
def failures_in_one_sentence(directory: Path) -> Iterator[None]:
    """Make a sentence of a full disk, a dead reader of data and a lost process of a training.

    Args:
        directory: of the training; a checkpoint that was cut off by a full disk is removed there.

    Raises:
        UserError: for these three failures; any other error stays as it is.
    """
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if any(name in text for name in _NO_ROOM):
            _remove_cut_off(directory)
            raise UserError(
                "a checkpoint could not be written, because the disk is full or files are limited",
                str(directory),
                "free some space and run the same command again",
            ) from error
        if _DEAD_WORKER.search(text):
            raise UserError(
                "a process that reads data has died, probably because memory ran out",
                "--num_workers",
                "use fewer of them or smaller batches and run the same command again",
            ) from error
        if torch.distributed.is_initialized() and _LOST_PROCESS.search(text):
            raise UserError(
                "another process of this training has ended or cannot be reached any more",
                f"process {torch.distributed.get_rank()}",
                "its own log says why; mend that and run the same command again",
            ) from error
        raise


def _remove_cut_off(directory: Path) -> None:
    for path in directory.glob("*.pth"):
        if not zipfile.is_zipfile(path):
            path.unlink()
