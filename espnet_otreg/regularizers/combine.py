"""Adding the regularizers of a configuration to the loss of a training step."""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace

import torch
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.regularizers.base import AlignmentBatch, RegularizerOutput
from espnet_otreg.regularizers.outputs import (
    add_statistics,
    checked_output,
    checked_weight,
    refused,
)
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


@contextmanager
def _answered_for(item: NamedRegularizer) -> Iterator[None]:
    """Let what another package's regularizer raises end in one sentence that names it."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever someone else's code raises
        module = type(item.config).__module__
        if module.partition(".")[0] == __name__.partition(".")[0]:
            raise  # a defect of ours keeps its traceback
        frames = traceback.extract_tb(error.__traceback__)[1:]
        file = getattr(sys.modules.get(module), "__file__", None)
        own = [frame for frame in frames if frame.filename == file]
        place = (own or frames)[-1]
        what = f"raised {type(error).__name__} at {place.filename}:{place.lineno}: {error}"
        mend = f"mend the package that has {module}, or leave the regularizer out"
        raise refused(item.name, what.replace("\n", " "), mend) from error


def _versions(batch: AlignmentBatch) -> dict[str, int]:
    """How often the tensors of a batch have been written to."""
    parts = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {
        name: part._version
        for name, part in parts.items()
        if isinstance(part, Tensor) and not part.is_inference()
    }


def _call(item: NamedRegularizer, batch: AlignmentBatch, trains: bool) -> RegularizerOutput:
    """Run a regularizer; for its statistics only, leave no trace in the training run."""
    before = _versions(batch)
    with _answered_for(item):
        if not callable(item.regularizer):
            kind = type(item.regularizer).__name__
            raise refused(item.name, f"is built as a {kind}", "let build() return a function")
        if trains:
            returned = item.regularizer(batch)
        else:
            with torch.no_grad(), _random_state_kept(batch.speech.device):
                returned = item.regularizer(batch)
        output = checked_output(item.name, returned, batch.speech, trains)
    changed = [name for name, version in _versions(batch).items() if version != before[name]]
    if changed:
        raise refused(item.name, f"changes batch.{changed[0]} in place", "let it work on a copy")
    return output


def _finite(batch: AlignmentBatch) -> AlignmentBatch | None:
    """The batch with zeros for embeddings that are NaN or inf; None if none is, off padding."""
    start = batch.speech_at_start
    sides = [(batch.speech, batch.speech_mask), (batch.text, batch.text_mask)]
    sides += [] if start is None else [(start, batch.speech_mask)]
    finite = [bool((x.detach().isfinite().all(-1) | ~mask).all()) for x, mask in sides]
    if all(finite) and bool(batch.anchor.isfinite().all()):
        return None
    return replace(
        batch,
        speech=batch.speech.nan_to_num(0, 0, 0),
        speech_at_start=None if start is None else start.nan_to_num(0, 0, 0),
        text=batch.text.nan_to_num(0, 0, 0),
        anchor=batch.anchor.nan_to_num(0, 0, 0),
    )


def apply_regularizers(
    named: Sequence[NamedRegularizer], batch: AlignmentBatch, step: int, training: bool = True
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """The regularizers' contribution to the loss of one step, and their statistics.

    A regularizer whose weight in force is 0 (``weight: 0``, or before ``start_step``) and every
    regularizer outside training runs without gradient and with the random generators put back: it
    adds no term, not even ``0 * value``, so that a NaN in it changes nothing.

    All values and statistics of a batch with embeddings that are not finite are NaN; regularizers
    then see zeros in their place, and need not think of it.

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

    Raises:
        UserError: naming the regularizer, if it raises what our own would not, changes the batch,
            or returns something else than a loss and named numbers, or a name that is taken.

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
    owners: dict[str, str] = {}
    repaired = _finite(batch) if named else None
    batch = repaired or batch
    with torch.autocast(batch.speech.device.type, enabled=False):
        for item in named:
            with _answered_for(item):
                weight = checked_weight(item.name, item.config.weight_at(step)) if training else 0.0
            output = _call(item, batch, trains=weight != 0)
            value = output.value
            if repaired is not None:
                value = value * torch.nan
                own = {key: part * torch.nan for key, part in output.statistics.items()}
                output = RegularizerOutput(value, own)
            if weight == 0:
                weighted = torch.zeros_like(value)
            else:
                weighted = weight * value
                term = weighted if term is None else term + weighted
            both = {item.name: value.detach(), f"{item.name}_weighted": weighted.detach()}
            for own in (output.statistics, both):
                add_statistics(statistics, owners, item.name, own)
    return term, statistics
