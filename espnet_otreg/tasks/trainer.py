"""ESPnet's trainer with checkpoints that survive a kill, and the step count for regularizers."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from espnet2.train.trainer import Trainer, TrainerOptions
from espnet2.utils.yaml_no_alias_safe_dump import yaml_no_alias_safe_dump

from espnet_otreg.files import atomic_write, lock_directory
from espnet_otreg.slm.checkpoint import naming_checkpoint
from espnet_otreg.tasks.epoch import INTERRUPTED, StoppableEpoch
from espnet_otreg.tasks.interruption import StopRequest, reading
from espnet_otreg.tasks.languages import record_languages
from espnet_otreg.tasks.recovery import flush, keep_previous, repair
from espnet_otreg.tasks.same_config import INPUTS
from espnet_otreg.tasks.sanity import overfit_ten
from espnet_otreg.tasks.timing import data_wait_share
from espnet_otreg.tasks.training_dir import CONFIG, FINISHED, Start, note_end, remove_training


class SLMTrainer(Trainer):
    """ESPnet's trainer; see the module's first line."""

    sanity = False
    start: Start
    _configuration: dict[str, Any]
    _last_unchanged = False  # by the last epoch, after which ESPnet gives up
    _epochs = 0
    _request = StopRequest()
    _epoch: StoppableEpoch

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> TrainerOptions:
        """ESPnet's options of a trainer, and what ``config.yaml`` is going to say."""
        args.output_dir = str(cls.start.directory)
        args.resume = True  # whether there is anything to go on with is known by now
        cls._configuration = {**vars(args), INPUTS: dict(cls.start.inputs)}
        return super().build_options(args)

    @classmethod
    def run(cls, model: Any, *args: Any, **kwargs: Any) -> None:
        """Train, holding the directory against a second run.

        Raises:
            UserError: if another run holds the directory or both checkpoints are damaged.
            Stopped: if a signal asked for it.
        """
        options = kwargs["trainer_options"]
        distributed = kwargs["distributed_option"]
        directory = Path(options.output_dir)
        model.remember_start()
        losses = [named.config for named in model.config.regularizers]
        if any(loss.needs_readout and loss.start_step for loss in losses):
            # Until then no loss may reach the read-out, which DDP has to be told.
            options.unused_parameters = True
        with contextlib.ExitStack() as stack:
            stack.enter_context(cls._request.listening())
            if cls.sanity:
                first = kwargs["train_iter_factory"].build_iter(1)
                overfit_ten(model, stack.enter_context(reading(first)), options.ngpu)
            done = 0
            if distributed.dist_rank in (None, 0):
                stack.enter_context(lock_directory(directory))
                if cls.start.anew:
                    remove_training(directory)
                done = repair(directory, options.best_model_criterion)
                (directory / FINISHED).unlink(missing_ok=True)
                with atomic_write(directory / CONFIG) as file:
                    yaml_no_alias_safe_dump(cls._configuration, file, indent=4, sort_keys=False)
                given = argparse.Namespace(**cls._configuration)
                record_languages(given, directory, resumed=done > 0)
            if distributed.distributed:
                torch.distributed.barrier()
            super().run(model, *args, **kwargs)
            if distributed.dist_rank in (None, 0):
                (directory / INTERRUPTED).unlink(missing_ok=True)
                flush(directory)
                if not cls._last_unchanged:
                    note_end(directory, max(done, cls._epochs))

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
        directory = Path(options.output_dir)
        if kwargs["distributed_option"].dist_rank in (None, 0):
            flush(directory)
        for optimizer in optimizers:
            # Of an accumulation that the epoch before has not finished; no checkpoint holds it.
            optimizer.zero_grad()
        cls._epoch = StoppableEpoch(
            cls._request,
            directory,
            getattr(model, "module", model),
            [*optimizers, *schedulers, kwargs["scaler"]],
            reporter,
            options.accum_grad,
            cls.start.again,
        )
        with contextlib.closing(cls._epoch.training(iterator)) as batches:
            unchanged: bool = super().train_one_epoch(model=model, iterator=batches, **kwargs)
        share = 100 * data_wait_share(reporter.stats)
        logging.info(
            "epoch %d: %.1f %% of the time was waiting for data", reporter.get_epoch(), share
        )
        # Of an epoch that was interrupted, steps before it count, too.
        cls._last_unchanged = unchanged and "grad_norm" not in reporter.stats
        cls._epochs = reporter.get_epoch()
        return cls._last_unchanged

    @classmethod
    def validate_one_epoch(cls, iterator: Iterable[Any], **kwargs: Any) -> None:
        """Validate; keep the last good checkpoint, because ESPnet overwrites it right after."""
        with contextlib.closing(cls._epoch.validation(iterator)) as batches:
            super().validate_one_epoch(iterator=batches, **kwargs)
        first = kwargs["reporter"].get_epoch() == 1  # before it there is no checkpoint of this run
        if not first and kwargs["distributed_option"].dist_rank in (None, 0):
            keep_previous(Path(kwargs["options"].output_dir))
