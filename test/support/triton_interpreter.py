"""The fused iterations on the CPU, in a process of their own in which Triton interprets kernels.

What Triton does is settled when it is imported, for a whole process.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from espnet_otreg.ot import fused
from espnet_otreg.ot.log_domain import Iterate
from espnet_otreg.ot.problem import TransportProblem

_RESIDENT = fused._RESIDENT


@contextmanager
def triton_interpreter() -> Iterator[ProcessPoolExecutor]:
    """A process for :func:`iterate`, by way of :func:`iterate_in`, and for :func:`agrees`."""
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            process.submit(os.getpid).result()  # it is there, with this environment
            os.environ.pop("TRITON_INTERPRET")
            yield process
    finally:
        os.environ.pop("TRITON_INTERPRET", None)


def iterate(streaming: bool, *arguments: Any) -> Iterate:
    """What ``iterate_fused`` finds, from tiles even if the matrix fits on request."""
    fused._RESIDENT = 0 if streaming else _RESIDENT
    with np.errstate(all="ignore"):  # exp(-inf) and NaN are meant
        return fused.iterate_fused(*arguments)


def iterate_in(
    process: ProcessPoolExecutor, streaming: bool, problem: TransportProblem, *arguments: Any
) -> Iterate:
    """The same in a process of :func:`triton_interpreter`, which no gradient can cross."""
    parts = (getattr(problem, field.name).detach() for field in fields(problem))
    return process.submit(iterate, streaming, TransportProblem(*parts), *arguments).result()


def agrees() -> bool:
    """Whether the trial that precedes the first use on a device succeeds."""
    with np.errstate(all="ignore"):
        return fused._agrees_on(torch.device("cpu"))
