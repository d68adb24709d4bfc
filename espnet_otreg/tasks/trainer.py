"""ESPnet's trainer with checkpoints that survive a kill, and the step count for regularizers."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from espnet2.train.trainer import Trainer

from espnet_otreg.files import lock_directory
from espnet_otreg.slm.checkpoint import naming_checkpoint
from espnet_otreg.tasks.epoch import INTERRUPTED, StoppableEpoch
from espnet_otreg.tasks.interruption import StopRequest
from espnet_otreg.tasks.languages import record_languages
from espnet_otreg.tasks.recovery import PREVIOUS, keep_previous, repair
from espnet_otreg.tasks.sanity import overfit_ten
from espnet_otreg.tasks.timing import data_wait_share


class SLMTrainer(Trainer):
    """ESPnet's trainer; see the module's first line."""

    sanity = False
    args: argparse.Namespace  # the options of the training
    _request = StopRequest()
    _epoch: StoppableEpoch

    @classmethod
    def run(cls, model: Any, *args: Any, **kwargs: Any) -> None:
        """Train, holding the directory against a second run.

        Raises:
            UserError: if another run holds the directory or both checkpoints are damaged.
            Stopped: if SIGTERM or SIGUSR1 asked for it.
        """
        options = kwargs["trainer_options"]
        distributed = kwargs["distributed_option"]
        directory = Path(options.output_dir)
        model.remember_start()
        losses = [named.config for named in model.config.regularizers]
        if any(loss.needs_readout and loss.start_step for loss in losses):
            # Until then no loss may reach the read-out, which DDP has to be told.
            options.unused_parameters = True
        if cls.sanity:
            overfit_ten(model, kwargs["train_iter_factory"].build_iter(1), options.ngpu)
        with contextlib.ExitStack() as stack:
            stack.enter_context(cls._request.listening())
            if distributed.dist_rank in (None, 0):
                stack.enter_context(lock_directory(directory))
                if options.resume:
                    repair(directory, options.best_model_criterion)
                else:  # what an earlier training has left must not get into this one
                    for name in (PREVIOUS, INTERRUPTED):
                        (directory / name).unlink(missing_ok=True)
                record_languages(cls.args, options.resume)
            if distributed.distributed:
                torch.distributed.barrier()
            super().run(model, *args, **kwargs)
            if distributed.dist_rank in (None, 0):
                (directory / INTERRUPTED).unlink(missing_ok=True)

    @staticmethod
    def resume(checkpoint: str | Path, *args: Any, **kwargs: Any) -> None:
        """Load a checkpoint of the same configuration."""
        with naming_checkpoint(checkpoint):
            Trainer.resume(checkpoint, *args, **kwargs)

    @classmethod
    def train_one_epoch(
        cls, model: torch.nn.Module, iterator: Iterable[Any], **kwargs: Any
    ) -> bool:
        """One epoch, or what an interrupted run has left of it.

        Returns:
            Whether no step of the epoch changed the model.
        """
        options, reporter = kwargs["options"], kwargs["reporter"]
        optimizers, schedulers = kwargs["optimizers"], kwargs["schedulers"]
        for optimizer in optimizers:
            # Of an accumulation that the epoch before has not finished; no checkpoint holds it.
            optimizer.zero_grad()
        cls._epoch = StoppableEpoch(
            cls._request,
            Path(options.output_dir),
            getattr(model, "module", model),
            [*optimizers, *schedulers, kwargs["scaler"]],
            reporter,
            options.accum_grad,
        )
        with contextlib.closing(cls._epoch.training(iterator)) as batches:
            unchanged: bool = super().train_one_epoch(model=model, iterator=batches, **kwargs)
        share = 100 * data_wait_share(reporter.stats)
        logging.info(
            "epoch %d: %.1f %% of the time was waiting for data", reporter.get_epoch(), share
        )
        return unchanged and "grad_norm" not in reporter.stats  # of steps before an interruption

    @classmethod
    def validate_one_epoch(cls, iterator: Iterable[Any], **kwargs: Any) -> None:
        """Validate; keep the last good checkpoint, because ESPnet overwrites it right after."""
        with contextlib.closing(cls._epoch.validation(iterator)) as batches:
            super().validate_one_epoch(iterator=batches, **kwargs)
        first = kwargs["reporter"].get_epoch() == 1  # before it there is no checkpoint of this run
        if not first and kwargs["distributed_option"].dist_rank in (None, 0):
            keep_previous(Path(kwargs["options"].output_dir))
