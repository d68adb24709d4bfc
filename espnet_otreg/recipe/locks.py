"""Directories that one run at a time may write into.

The lock is the kernel's (``flock`` on ``DIR/.lock``). The programs that a run starts inherit it:
after a ``kill -9`` the next run waits until they have noticed and ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from espnet_otreg.errors import UserError

_PATIENCE_SECONDS = 20.0  # for the programs of a run that was killed
_LOOK_SECONDS = 0.1


class DirectoryLock:
    """The lock of one directory, held until it is closed.

    Args:
        directory: made if it is not there.
        waits: whether to wait for another run instead of giving up.

    Raises:
        UserError: if another run holds it, or the directory cannot be written.
    """

    def __init__(self, directory: str | Path, waits: bool) -> None:
        path = Path(directory) / ".lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError:
            raise UserError(
                "this directory cannot be written",
                str(directory),
                "give yourself the permission or choose another one",
            ) from None
        try:
            self._acquire(str(directory), path, waits)
        except BaseException:
            self.close()
            raise
        os.ftruncate(self.number, 0)
        os.write(self.number, f"{os.getpid()}\n".encode())

    def _acquire(self, directory: str, path: Path, waits: bool) -> None:
        deadline, told = time.monotonic() + _PATIENCE_SECONDS, False
        while not self._try():
            owner = path.read_text().strip()
            alive = bool(owner) and Path(f"/proc/{owner}").is_dir()
            run = f"another run (process {owner or 'unknown'}) is working here"
            if not waits and (alive or time.monotonic() > deadline):
                raise UserError(run, directory, "wait for it, stop it, or use another --tag")
            if waits and not told:
                print(f"{directory}: {run}; waiting for it", file=sys.stderr, flush=True)
                told = True
            time.sleep(_LOOK_SECONDS)

    def _try(self) -> bool:
        try:
            fcntl.flock(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of the directory, unless a program that inherited the lock still runs."""
        os.close(self.number)


@contextlib.contextmanager
def shared_locks(directories: Iterable[str]) -> Iterator[list[int]]:
    """Hold the locks of several directories, always taken in the same order; their descriptors.

    >>> with shared_locks([]) as numbers:
    ...     print(numbers)
    []
    """
    with contextlib.ExitStack() as stack:
        numbers = []
        for directory in sorted(set(directories), key=os.path.realpath):
            lock = DirectoryLock(directory, waits=True)
            stack.callback(lock.close)
            numbers.append(lock.number)
        yield numbers
