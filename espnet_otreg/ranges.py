"""Ranges of numerical options, with one sentence for every value outside."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from espnet_otreg.errors import ConfigErrors


@dataclass(frozen=True)
class Range:
    """A closed interval of numbers, whole ones only if ``whole``.

    NaN is in no range, a bool is no number, and a float is no whole number.

    >>> str(Range(1, 1000, whole=True)), str(Range(0, 1))
    ('a whole number from 1 to 1000', 'a number from 0 to 1')
    """

    low: float
    high: float
    whole: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low} to {self.high}"

    def __contains__(self, value: Any) -> bool:
        kinds = int if self.whole else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool):
            return False
        # Not math.isfinite, which overflows at a whole number of 400 digits.
        return self.low <= value <= self.high and abs(value) != math.inf

    def __call__(self, text: str) -> int | float:
        """The number that a word of a command line is (``type`` of argparse).

        Raises:
            argparse.ArgumentTypeError: if it is none or outside the range, which is named.

        >>> Range(1, 9, whole=True)("4")
        4
        """
        number = self.read(text)
        if number not in self:
            raise argparse.ArgumentTypeError(f"expected {self}, found {text!r}")
        return number

    def read(self, text: str) -> int | float:
        """The number that a word of a command line is, in the range or not (``type`` of argparse).

        Raises:
            argparse.ArgumentTypeError: if it is none, naming the range.

        >>> Range(0, 1).read("0.5"), Range(1, 9, whole=True).read("12")
        (0.5, 12)
        """
        try:
            return int(text) if self.whole else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {self}, found {text!r}") from None


BATCH_SIZE = Range(1, 1_000_000, whole=True)
JOBS = Range(1, 4096, whole=True)  # at a time, on one machine
SHARES = Range(1, 100_000, whole=True)  # that work is cut into
# How much is decoded together, and in which of several processes.
WORK_RANGES = {
    "batch_size": BATCH_SIZE,
    "job": Range(1, 1_000_000, whole=True),
    "num_jobs": Range(1, 1_000_000, whole=True),
}
COUNT = Range(0, 2**31 - 1, whole=True)
SECONDS = Range(0, 1_000_000)
SEED = Range(0, 2**32 - 1, whole=True)  # what every generator here takes


def range_errors(values: Mapping[str, Any], ranges: Mapping[str, Range]) -> list[str]:
    """One sentence for every value that is outside its range; names without a range pass.

    >>> range_errors({"weight": float("nan"), "name": "a"}, {"weight": Range(0, 1)})
    ['weight: expected a number from 0 to 1, found nan']
    """
    return [
        f"{name}: expected {ranges[name]}, found {value!r}"
        for name, value in values.items()
        if name in ranges and value not in ranges[name]
    ]


def require_in_range(values: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Check numbers together.

    Raises:
        ConfigErrors: with every one that is outside its range.

    >>> require_in_range({"weight": 0.5}, {"weight": Range(0, 1)})
    """
    if errors := range_errors(values, ranges):
        raise ConfigErrors(errors)
