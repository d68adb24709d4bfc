"""One epoch of a training, which can be stopped between two steps and taken up again."""

from __future__ import annotations

import logging
import operator
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from espnet2.train.reporter import SubReporter

from espnet_otreg.errors import Interrupted, Stopped, UserError
from espnet_otreg.progress import Progress
from espnet_otreg.slm.checkpoint import load_checkpoint, save_checkpoint
from espnet_otreg.tasks.interruption import (
    StopRequest,
    gather,
    plain_statistics,
    random_state,
    reading,
    restore_statistics,
    set_random_state,
)

INTERRUPTED = "interrupted.pth"


class StoppableEpoch:
    """Hands out batches; before each it may save everything and end the training.

    Args:
        request: whether somebody wants the training to stop.
        directory: of the training.
        model: without ESPnet's wrapper for several processes.
        parts: optimisers, schedulers and the scaler, in a fixed order; None where there is none.
        reporter: of this epoch's training.
        accumulate: batches of one step.
        epochs: of the whole training.
        again: how to go on after a stop, for the user.
    """

    def __init__(
        self,
        request: StopRequest,
        directory: Path,
        model: Any,
        parts: Sequence[Any],
        reporter: SubReporter,
        accumulate: int,
        epochs: int,
        again: str,
    ) -> None:
        self.request = request
        self.path = directory / INTERRUPTED
        self.model = model
        self.parts = parts
        self.reporter = reporter
        self.accumulate = accumulate
        self.epochs = epochs
        self.again = again
        self._done = 0  # batches
        self._random_at_end: dict[str, Any] | None = None

    def training(self, batches: Iterable[Any]) -> Generator[Any]:
        """The batches that are left; the model learns before each how many steps were taken.

        Raises:
            Stopped: before a step, once a signal has come.
        """
        with reading(batches) as iterator:
            saved = self._saved()
            if saved is not None:
                self._take_up(saved, iterator)
            length = operator.length_hint(batches)  # 0: not known, as of a set in several parts
            progress = self._progress(length)
            while True:
                if self._done % self.accumulate == 0:
                    self._stop_if_asked()
                try:
                    batch = next(iterator)
                except StopIteration:
                    break
                self.model.step = self.reporter.get_total_count() // self.accumulate
                yield batch
                self._done += 1
                progress.advance(1 if length else 0)
        progress.advance(0 if length else 1)
        progress.close()
        self._random_at_end = random_state()

    def validation(self, batches: Iterable[Any]) -> Generator[Any]:
        """All batches.

        Raises:
            Stopped: before a batch, once a signal has come; the next run validates anew.
        """
        with reading(batches) as iterator:
            while True:
                self._stop_if_asked()
                try:
                    batch = next(iterator)
                except StopIteration:
                    return
                yield batch

    def _progress(self, length: int) -> Progress:
        """For the log: batches of the whole training, as if all epochs had as many; epochs if the
        number of batches is not known."""
        if not length:
            before = self.reporter.get_epoch() - 1
            return Progress("training", self.epochs, "epochs", before, bar=False)
        before = (self.reporter.get_epoch() - 1) * length + self._done
        return Progress("training", self.epochs * length, "batches", before, bar=False)

    def _stop_if_asked(self) -> None:
        received = self.request.agreed()
        if received:
            self._stop(signal.Signals(received))

    def _stop(self, received: signal.Signals) -> NoReturn:
        own = {
            "random": self._random_at_end or random_state(),
            "statistics": plain_statistics(self.reporter),
        }
        everyone = gather(own)
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            save_checkpoint(
                self.path,
                {
                    "epoch": self.reporter.get_epoch(),
                    "done": self._done,
                    "model": self.model.state_dict(),
                    "parts": [part and part.state_dict() for part in self.parts],
                    "processes": everyone,
                },
            )
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # who leaves first takes the connection away
        stopped = Interrupted if received == signal.SIGINT else Stopped
        raise stopped(
            f"stopped by {received.name} after batch {self._done} of epoch "
            f"{self.reporter.get_epoch()}",
            str(self.path),
            self.again,
        )

    def _saved(self) -> dict[str, Any] | None:
        """What an interrupted run has saved in this very epoch."""
        if not self.path.is_file():
            return None
        try:
            saved = load_checkpoint(self.path)
        except (UserError, FileNotFoundError) as error:
            logging.warning("%s; epoch %d begins anew", error, self.reporter.get_epoch())
            return None
        count = len(gather({}))
        if saved["epoch"] == self.reporter.get_epoch() and len(saved["processes"]) == count:
            return saved
        if saved["epoch"] == self.reporter.get_epoch():
            logging.warning(
                "%s is of %d processes, these are %d: epoch %d begins anew",
                self.path, len(saved["processes"]), count, saved["epoch"],
            )  # fmt: skip
        return None

    def _take_up(self, saved: dict[str, Any], iterator: Iterator[Any]) -> None:
        self.model.load_state_dict(saved["model"])
        for part, state in zip(self.parts, saved["parts"], strict=True):
            if part is not None:
                part.load_state_dict(state)
        self._done = saved["done"]
        for _ in range(self._done):  # read, not jumped over: readers draw random numbers too
            next(iterator)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        own = saved["processes"][rank]
        restore_statistics(self.reporter, own["statistics"], self._done)
        set_random_state(own["random"])
        logging.info("Epoch %d goes on after batch %d", saved["epoch"], self._done)
