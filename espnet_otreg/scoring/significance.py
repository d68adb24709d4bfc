"""Intervals and tests for error rates, in numpy only; every random draw is seeded.

All of them resample *clusters*: speakers where a test set has 20 or more, else sentences
(utterances of the same reference text), which does not cover how speakers vary.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.errors import UserError
from espnet_otreg.ranges import SEED, Range, require_in_range

Floats = NDArray[np.float64]

REPLICATIONS = 10_000
LEVEL = 0.95
RANGES = {
    "replications": Range(1, 10_000_000, whole=True),
    "seed": SEED,
    "level": Range(0, 1),
}
_DRAWS_AT_ONCE = 4_000_000  # cluster indices held in memory at once (32 MB)
_Z_TWO_SIDED_5_PERCENT, _Z_POWER_80_PERCENT = 1.959964, 0.841621


def bootstrap_rates(
    errors: Floats,
    lengths: Floats,
    clusters: NDArray[np.int64],
    name: str,
    replications: int = REPLICATIONS,
    seed: int = 0,
) -> Floats:
    """Error rates, in percent, of ``replications`` resampled test sets.

    Systems are resampled together, and the draws depend on ``name`` and ``seed`` only: the draws
    of two systems on one test set, even in two calls, are paired.

    Args:
        errors: (A, N) errors of A systems on N utterances (means over seeds need not be whole).
        lengths: (N,) reference lengths.
        clusters: (N,) index of the cluster of each utterance, from 0 without gaps.
        name: the test set.
        replications, seed: see :data:`RANGES`.

    Returns:
        (A, replications).

    Raises:
        UserError: if a number is out of its range, errors or lengths are not finite, or a
            reference is empty.

    >>> draws = bootstrap_rates(np.ones((1, 4)), np.full(4, 2.0), np.arange(4), "x", 3)
    >>> draws.tolist()
    [[50.0, 50.0, 50.0]]
    """
    require_in_range({"replications": replications, "seed": seed}, RANGES)
    if not (np.isfinite(errors).all() and np.isfinite(lengths).all() and (lengths > 0).all()):
        raise UserError(
            "errors and lengths must be finite and every reference longer than 0",
            f"test set '{name}'",
            "score it again",
        )
    count = int(clusters.max()) + 1
    summed = np.stack([np.bincount(clusters, row, count) for row in (*errors, lengths)])
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    at_once = max(1, _DRAWS_AT_ONCE // count)
    parts = []
    for start in range(0, replications, at_once):
        drawn = random.integers(0, count, (min(at_once, replications - start), count))
        parts.append(summed[:, drawn].sum(axis=2))
    totals = np.concatenate(parts, axis=1)
    return np.asarray(100.0 * totals[:-1] / totals[-1])


def percentile_interval(draws: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The percentile bootstrap interval.

    Args:
        draws: of the bootstrap.
        level: confidence, from 0 to 1.

    Raises:
        ConfigErrors: if the level is none.

    >>> percentile_interval(np.arange(101.0), 0.5)
    (25.0, 75.0)
    """
    require_in_range({"level": level}, RANGES)
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(draws, [tail, 100.0 - tail])
    return float(low), float(high)


def bootstrap_p(differences: Floats) -> float:
    """Two-sided p of "no difference": twice the share of draws on the rarer side of zero.

    One draw is added to each side, so p is never 0.

    >>> bootstrap_p(np.ones(9)), bootstrap_p(np.zeros(9))
    (0.2, 1.0)
    """
    below = (np.count_nonzero(differences <= 0) + 1) / (len(differences) + 1)
    above = (np.count_nonzero(differences >= 0) + 1) / (len(differences) + 1)
    return float(min(1.0, 2.0 * min(below, above)))


def smallest_detectable(differences: Floats) -> float:
    """The true difference that a 5 % test on such data would find with 80 % probability.

    (1.96 + 0.84) standard deviations of the bootstrap draws, in points.

    >>> round(smallest_detectable(np.array([-1.0, 1.0] * 500)), 2)
    2.8
    """
    z = _Z_TWO_SIDED_5_PERCENT + _Z_POWER_80_PERCENT
    return float(z * np.std(differences, ddof=1))


def matched_pairs(differences: Floats) -> tuple[float, float]:
    """Utterance-level matched-pairs test: Z and its two-sided normal p.

    Z = mean(d) / (sd(d) / sqrt(n)) over the differences in errors d of n utterances. NIST's MAPSSWE
    does the same over segments between correct words, which are shorter than utterances.

    Args:
        differences: (N,) errors of one system minus those of the other.

    >>> z, p = matched_pairs(np.array([1.0, 0.0, 1.0, 2.0]))
    >>> round(z, 2), round(p, 3)
    (2.45, 0.014)
    """
    count = len(differences)
    spread = float(np.std(differences, ddof=1)) if count > 1 else 0.0
    mean = float(np.mean(differences))
    if spread == 0.0:  # no variation to compare with: only "always the same" is certain
        return (0.0, 1.0) if mean == 0.0 or count < 2 else (math.copysign(math.inf, mean), 0.0)
    z = mean / (spread / math.sqrt(count))
    return z, math.erfc(abs(z) / math.sqrt(2.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number (Holm 1979): compare each with 0.05 as it is.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = running
    return adjusted
