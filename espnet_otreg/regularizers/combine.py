"""Adding the regularizers of a configuration to the loss of a training step."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from espnet_otreg.regularizers.base import AlignmentBatch, RegularizerOutput
from espnet_otreg.regularizers.registry import NamedRegularizer


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Leave the random generators of Python, NumPy (if loaded) and torch as they were."""
    python_state = random.getstate()
    numpy = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy else None
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python_state)
        if numpy and numpy_state is not None:
            numpy.random.set_state(numpy_state)


def _observe(item: NamedRegularizer, batch: AlignmentBatch) -> RegularizerOutput:
    """Run a regularizer for its statistics only, leaving no trace in the training run."""
    with torch.no_grad(), _random_state_kept(batch.speech.device):
        return item.regularizer(batch)


def apply_regularizers(
    named: Sequence[NamedRegularizer], batch: AlignmentBatch, step: int, training: bool = True
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """The regularizers' contribution to the loss of one step, and their statistics.

    A regularizer whose weight in force is 0 (``weight: 0``, or before ``start_step``) and every
    regularizer outside training runs without gradient and with the random generators put back: it
    adds no term, not even ``0 * value``, so that a NaN in it changes nothing.

    Args:
        named: the regularizers, from ``parse_regularizers``.
        batch: both sides of the utterances.
        step: optimiser steps taken so far.
        training: False = statistics only, so that validation losses of arms that differ in their
            regularizers can be compared.

    Returns:
        The weighted sum of the active regularizers, a scalar, or None if none is active; and
        detached scalars: for each regularizer its own statistics, its raw value under its name and
        its contribution to the loss under ``<name>_weighted``.

    >>> from espnet_otreg.regularizers import parse_regularizers
    >>> from espnet_otreg.regularizers.otreg_loss import example_batch
    >>> named = parse_regularizers([{"otreg": {"weight": 0.5, "start_step": 10}}])
    >>> term, statistics = apply_regularizers(named, example_batch(), step=0)
    >>> term, statistics["otreg_weighted"].item()
    (None, 0.0)
    >>> term, statistics = apply_regularizers(named, example_batch(), step=10)
    >>> bool(term == 0.5 * statistics["otreg"])
    True
    """
    term: Tensor | None = None
    statistics: dict[str, Tensor] = {}
    with torch.autocast(batch.speech.device.type, enabled=False):
        for item in named:
            weight = item.config.weight_at(step) if training else 0.0
            if weight == 0:
                output = _observe(item, batch)
                weighted = torch.zeros_like(output.value)
            else:
                output = item.regularizer(batch)
                weighted = weight * output.value
                term = weighted if term is None else term + weighted
            statistics.update(output.statistics)
            statistics[item.name] = output.value.detach()
            statistics[f"{item.name}_weighted"] = weighted.detach()
    return term, statistics
