"""Stop a training between two steps when a signal asks for it, and go on exactly from there.

Slurm sends SIGTERM to a job that is cancelled or preempted and kills it half a minute later;
SIGUSR1 is what ``sbatch --signal`` is asked to send some time before the limit; SIGINT is Ctrl-C.
An epoch can take longer than that and a step does not, so the state between two steps is saved,
with the position in the epoch and the state of every random number generator: nothing is lost and
nothing changes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from espnet2.train.reporter import SubReporter, to_reported_value

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_AT_ONCE = b"error: interrupted; run the same command again to go on\n"


class StopRequest:
    """Remembers a signal of :data:`SIGNALS` instead of dying of it, but for a second Ctrl-C."""

    def __init__(self) -> None:
        self._received = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen until the end of the block; then the signals mean what they meant before."""
        self._received = 0
        before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _remember(self, number: int, _: object) -> None:
        # The terminal sends Ctrl-C to all processes, and the first one passes it on: of what it
        # has started, it alone can tell a second one.
        if number == self._received == signal.SIGINT and multiprocessing.parent_process() is None:
            end_at_once()
        self._received = number

    def agreed(self) -> int:
        """The signal, 0 if none came; all processes of a training get the same answer together."""
        if not torch.distributed.is_initialized():
            return self._received
        on_gpu = torch.distributed.get_backend() == "nccl"
        answer = torch.tensor(self._received, device="cuda" if on_gpu else "cpu")
        torch.distributed.all_reduce(answer, torch.distributed.ReduceOp.MAX)
        return int(answer)


def end_at_once() -> None:
    """Die of SIGINT without saving anything; what is on the disk is good to go on from."""
    os.write(2, _AT_ONCE)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def passed_on() -> Iterator[None]:
    """Pass :data:`SIGNALS` on to the processes that the block has started, which end by themselves.

    With several GPUs ESPnet starts one process for each, and the first one only waits for them.
    Were it to die, the batch system would kill the others before they have saved anything. After a
    second Ctrl-C all of them are killed.
    """
    interrupted = False

    def pass_on(number: int, _: object) -> None:
        nonlocal interrupted
        again = interrupted and number == signal.SIGINT
        interrupted = interrupted or number == signal.SIGINT
        # Readers of data are daemons; they end with the process that has started them.
        children = [child for child in multiprocessing.active_children() if not child.daemon]
        for child in children:
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL if again else number)
        if again:
            end_at_once()
        if not children:  # nothing to wait for: the signal means what it meant before
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def reading(batches: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """An iterator over ``batches`` whose processes, if it has any, do not hear :data:`SIGNALS`.

    Slurm sends them to all processes of a job: a DataLoader's workers would die while the training
    is still in the middle of a step. Nor would they hear the SIGTERM by which Python ends them when
    it exits, and for whose end it waits: so they are told to end by themselves.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        iterator = iter(batches)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield iterator
    finally:
        end_workers = getattr(iterator, "_shutdown_workers", None)
        if end_workers is not None:
            end_workers()


def random_state() -> dict[str, Any]:
    """The state of every random number generator that a training draws from."""
    name, keys, *rest = np.random.get_state()
    on_gpu = torch.cuda.is_initialized()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if on_gpu else None,
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go back to what :func:`random_state` gave."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave all random number generators as they were before the block.

    >>> before = random.getstate()
    >>> with random_state_kept():
    ...     _ = random.random()
    >>> random.getstate() == before
    True
    """
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


Statistics = Mapping[str, Iterable[tuple[float, float | None]]]  # value and weight of each step


def plain_statistics(reporter: SubReporter) -> Statistics:
    """What ESPnet's reporter has noted in this epoch."""
    return {
        key: [(float(v.value), _weight(v)) for v in values]
        for key, values in reporter.stats.items()
    }


def _weight(value: Any) -> float | None:
    return float(value.weight) if hasattr(value, "weight") else None


def restore_statistics(reporter: SubReporter, statistics: Statistics, steps: int) -> None:
    """Let a fresh reporter have noted ``statistics`` in ``steps`` steps."""
    for key, values in statistics.items():
        reporter.stats[key].extend(to_reported_value(*pair) for pair in values)
    reporter.count += steps
    reporter.total_count += steps


def gather(own: dict[str, Any]) -> list[dict[str, Any]]:
    """What every process of a training gives, in the order of their ranks."""
    if not torch.distributed.is_initialized():
        return [own]
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, own)
    return everyone
