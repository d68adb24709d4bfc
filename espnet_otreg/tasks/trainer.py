"""ESPnet's trainer with checkpoints that survive a kill, and the step count for regularizers."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from espnet2.train.trainer import Trainer, TrainerOptions
from espnet2.utils.yaml_no_alias_safe_dump import yaml_no_alias_safe_dump

from espnet_otreg.data.digests import INPUTS
from espnet_otreg.files import atomic_write, lock_directory
from espnet_otreg.precision import Precision, settled_precision
from espnet_otreg.slm.checkpoint import naming_checkpoint
from espnet_otreg.tasks.epoch import INTERRUPTED, StoppableEpoch
from espnet_otreg.tasks.interruption import StopRequest
from espnet_otreg.tasks.languages import record_languages
from espnet_otreg.tasks.recovery import flush, keep_previous, repair
from espnet_otreg.tasks.sanity import overfit_ten
from espnet_otreg.tasks.timing import data_wait_share
from espnet_otreg.tasks.training_dir import (
    CONFIG,
    FINISHED,
    PRECISION,
    Start,
    note_end,
    remove_training,
)


@dataclass
class TrainingRun:
    """What the steps of one training share.

    Args:
        start: whether it begins or goes on, and where.
        sanity: whether it first has to learn ten utterances by heart.
        precision: ``float32``, ``bfloat16`` or ``auto``.
    """

    start: Start
    sanity: bool = False
    precision: str = "float32"
    request: StopRequest = field(default_factory=StopRequest)
    configuration: dict[str, Any] = field(default_factory=dict)  # what config.yaml is going to say
    epoch: StoppableEpoch | None = None
    last_unchanged: bool = False  # by the last epoch, after which ESPnet gives up
    epochs: int = 0


class SLMTrainer(Trainer):
    """ESPnet's trainer; see the module's first line.

    ESPnet calls methods of the class, never of an object: :func:`trainer_of` makes a class for each
    training, and nothing is ever written to this one.
    """

    training: ClassVar[TrainingRun]

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> TrainerOptions:
        """ESPnet's options of a trainer, and what ``config.yaml`` is going to say."""
        start = cls.training.start
        args.output_dir = str(start.directory)
        args.resume = True  # whether there is anything to go on with is known by now
        cls.training.configuration = {**vars(args), INPUTS: dict(start.inputs)}
        return super().build_options(args)

    @classmethod
    def run(cls, model: Any, *args: Any, **kwargs: Any) -> None:
        """Train, holding the directory against a second run.

        Raises:
            UserError: if another run holds the directory or both checkpoints are damaged.
            Stopped: if a signal asked for it.
        """
        training, options = cls.training, kwargs["trainer_options"]
        distributed = kwargs["distributed_option"]
        directory = Path(options.output_dir)
        model.remember_start()
        losses = [named.config for named in model.config.regularizers]
        if any(loss.needs_readout and loss.start_step for loss in losses):
            # Until then no loss may reach the read-out, which DDP has to be told.
            options.unused_parameters = True
        with contextlib.ExitStack() as stack:
            stack.enter_context(training.request.listening())
            if training.sanity:
                overfit_ten(model, lambda: kwargs["train_iter_factory"].build_iter(1), options.ngpu)
            done = 0
            if distributed.dist_rank in (None, 0):
                stack.enter_context(lock_directory(directory))
                if training.start.anew:
                    remove_training(directory)
                done = repair(directory, options.best_model_criterion)
                (directory / FINISHED).unlink(missing_ok=True)
                with atomic_write(directory / CONFIG) as file:
                    yaml_no_alias_safe_dump(training.configuration, file, indent=4, sort_keys=False)
                given = argparse.Namespace(**training.configuration)
                record_languages(given, directory, resumed=done > 0)
            cls._settle_precision(model, directory, options.ngpu)
            super().run(model, *args, **kwargs)
            if distributed.dist_rank in (None, 0):
                (directory / INTERRUPTED).unlink(missing_ok=True)
                flush(directory)
                if not training.last_unchanged:
                    note_end(directory, max(done, training.epochs))

    @classmethod
    def _settle_precision(cls, model: Any, directory: Path, ngpu: int) -> None:
        """Let all processes compute as the first one decides, or as the training began."""
        several = torch.distributed.is_initialized()
        chosen = [Precision()]
        if not several or torch.distributed.get_rank() == 0:
            device = "cuda" if ngpu else "cpu"
            path = directory / PRECISION
            chosen = [settled_precision(cls.training.precision, device, path)]
        if several:
            torch.distributed.broadcast_object_list(chosen, 0)
        model.precision = chosen[0]
        chosen[0].use_threads()

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
        training = cls.training
        training.epoch = StoppableEpoch(
            training.request,
            directory,
            getattr(model, "module", model),
            [*optimizers, *schedulers, kwargs["scaler"]],
            reporter,
            options.accum_grad,
            options.max_epoch,
            training.start.again,
        )
        with contextlib.closing(training.epoch.training(iterator)) as batches:
            unchanged: bool = super().train_one_epoch(model=model, iterator=batches, **kwargs)
        share = 100 * data_wait_share(reporter.stats)
        logging.info(
            "epoch %d: %.1f %% of the time was waiting for data", reporter.get_epoch(), share
        )
        # Of an epoch that was interrupted, steps before it count, too.
        training.last_unchanged = unchanged and "grad_norm" not in reporter.stats
        training.epochs = reporter.get_epoch()
        return training.last_unchanged

    @classmethod
    def validate_one_epoch(cls, iterator: Iterable[Any], **kwargs: Any) -> None:
        """Validate; keep the last good checkpoint, because ESPnet overwrites it right after."""
        assert cls.training.epoch is not None  # ESPnet trains an epoch before it validates
        with contextlib.closing(cls.training.epoch.validation(iterator)) as batches:
            super().validate_one_epoch(iterator=batches, **kwargs)
        first = kwargs["reporter"].get_epoch() == 1  # before it there is no checkpoint of this run
        if not first and kwargs["distributed_option"].dist_rank in (None, 0):
            keep_previous(Path(kwargs["options"].output_dir))


def trainer_of(training: TrainingRun) -> type[SLMTrainer]:
    """The trainer of one training."""
    return type(SLMTrainer.__name__, (SLMTrainer,), {"training": training})
