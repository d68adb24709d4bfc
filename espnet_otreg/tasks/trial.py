"""Whether optimiser, schedule and batches can be made of what the configuration says."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from espnet2.tasks.abs_task import optim_classes, scheduler_classes

from espnet_otreg.errors import UserError


def try_optimiser(args: argparse.Namespace) -> None:
    """Make the optimiser and the schedule of one weight, and let it take a step.

    The classes themselves know best which values they take, and this costs nothing; ESPnet makes
    them after the model has been loaded.

    Args:
        args: ESPnet's; ``optim``, ``scheduler`` and their ``_conf``.

    Raises:
        UserError: with what the class says.

    >>> try_optimiser(argparse.Namespace(optim="adamw", optim_conf={"betas": [0.9, 2]},
    ...                                  scheduler=None))
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: optim_conf: Invalid beta parameter at index 1: 2; correct it \
for adamw
    """
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    with _errors_as_sentence("optim_conf", f"correct it for {args.optim}"):
        optimiser = optim_classes[args.optim]([weight], **args.optim_conf)
        optimiser.step()
    if args.scheduler is not None:
        with _errors_as_sentence("scheduler_conf", f"correct it for {args.scheduler}"):
            scheduler_classes[args.scheduler](optimiser, **args.scheduler_conf)


@contextlib.contextmanager
def errors_of_batches() -> Iterator[None]:
    """Make a sentence of what ESPnet says where it cannot make batches.

    Raises:
        UserError: in place of an assertion and its like.

    >>> with errors_of_batches():
    ...     raise ValueError("Not enough samples")
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: batch_type, batch_size, batch_bins, shape files: Not enough \
samples; correct them
    """
    with _errors_as_sentence("batch_type, batch_size, batch_bins, shape files", "correct them"):
        yield


@contextlib.contextmanager
def _errors_as_sentence(where: str, mend: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        said: Any = " ".join(str(error).split()) or type(error).__name__
        raise UserError(said, where, mend) from error
