"""Checks of the arguments of solvers."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import Tensor


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above 0.

    >>> [is_positive(value) for value in (0.1, 0.0, float("nan"), float("inf"), None, "0.1")]
    [True, False, False, False, False, False]
    """
    try:
        return bool(value > 0 and math.isfinite(value))
    except (TypeError, ValueError):
        return False


def check_positive(name: str, value: Any) -> None:
    """Raise ValueError unless a value is a finite number above 0.

    >>> check_positive("epsilon", float("nan"))
    Traceback (most recent call last):
    ValueError: epsilon: expected a positive number, found nan
    """
    if not is_positive(value):
        raise ValueError(f"{name}: expected a positive number, found {value!r}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise ValueError unless a value is a whole number, at least ``least``.

    >>> check_count("max_iterations", 0)
    Traceback (most recent call last):
    ValueError: max_iterations: expected at least 1, found 0
    """
    try:
        fits = operator.index(value) >= least
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{name}: expected at least {least}, found {value!r}")


def check_iterations(max_iterations: Any, tolerance: Any, annealing: Any = 0) -> None:
    """Raise ValueError on numbers of iterations and tolerances that no solver can work with.

    Args:
        max_iterations: at least 1.
        tolerance: a number not below 0.
        annealing: iterations that come first, fewer than all.

    >>> check_iterations(50, 1e-3, annealing=50)
    Traceback (most recent call last):
    ValueError: annealing: expected at least 0 and less than max_iterations, found 50
    """
    check_count("max_iterations", max_iterations)
    try:
        check_count("annealing", annealing, 0)
        fits = annealing < max_iterations
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"annealing: expected at least 0 and less than max_iterations, found {annealing!r}"
        )
    if not (tolerance == 0 or is_positive(tolerance) or tolerance == math.inf):
        raise ValueError(f"tolerance: expected a number not below 0, found {tolerance!r}")


def check_plan(coupling: Tensor, dimensions: int | None = None) -> None:
    """Raise ValueError unless a tensor has the form of a plan, (..., S, T) of real numbers.

    Args:
        coupling: any tensor; its values are not looked at.
        dimensions: how many it must have; any number from two on if None.

    >>> check_plan(torch.zeros(3))
    Traceback (most recent call last):
    ValueError: coupling: expected a plan (..., S, T) of real numbers, found (3,) torch.float32
    """
    right = coupling.dim() == dimensions if dimensions else coupling.dim() >= 2
    if not right or not coupling.is_floating_point():
        form = "(B, S, T)" if dimensions == 3 else "(..., S, T)"
        raise ValueError(
            f"coupling: expected a plan {form} of real numbers, found "
            f"{tuple(coupling.shape)} {coupling.dtype}"
        )


def check_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a mask is of booleans and has a shape.

    >>> check_mask("source_mask", torch.ones(1, 3), (1, 2))
    Traceback (most recent call last):
    ValueError: source_mask: expected (1, 2) torch.bool, found (1, 3) torch.float32
    """
    if mask.shape != shape or mask.dtype != torch.bool:
        raise ValueError(
            f"{name}: expected {shape} torch.bool, found {tuple(mask.shape)} {mask.dtype}"
        )
