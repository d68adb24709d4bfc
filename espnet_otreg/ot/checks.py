"""Which numbers a solver takes: one sentence for each that it does not."""

from __future__ import annotations

import math
import operator
from typing import Any


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
