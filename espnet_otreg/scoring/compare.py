"""Paired comparison of two systems: differences, intervals, tests and a verdict in words.

Differences are B minus A, in points; below zero B is better. There is one primary comparison for
each measure, the macro mean out of domain; the p values of all others are adjusted by Holm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from espnet_otreg.errors import UserError
from espnet_otreg.scoring.rows import (
    Measure,
    Row,
    SetResult,
    check_comparable,
    check_same_training_data,
    chosen_measures,
    macro_draws,
    macro_rate,
    macro_rates,
    measure_label,
    resampling_note,
)
from espnet_otreg.scoring.score import GROUPS
from espnet_otreg.scoring.significance import (
    Floats,
    bootstrap_p,
    holm,
    matched_pairs,
    percentile_interval,
    smallest_detectable,
)

SIGNIFICANT = 0.05
SATURATED_WER = 70.0
_PRIMARY_ORDER = ("out_of_domain", "in_domain", "synthetic", "beside")
Outcome = Literal["saturated", "better", "worse", "no difference"]


@dataclass(frozen=True)
class Difference:
    """One paired comparison; rates, difference, interval and ``detectable`` are in points.

    ``p`` comes from the paired bootstrap, ``z`` and ``z_p`` from the matched-pairs test over
    utterances (not for a macro mean); ``adjusted_p`` is ``p`` after Holm, or ``p`` itself for
    the primary comparison. ``seed_differences`` is empty if A and B have not as many seeds.
    """

    label: str
    is_macro: bool
    measure: Measure
    measure_name: str
    rate_a: float
    rate_b: float
    low: float
    high: float
    p: float
    adjusted_p: float
    z: float | None
    z_p: float | None
    detectable: float
    seed_differences: tuple[float, ...]

    @property
    def difference(self) -> float:
        """Rate of B minus rate of A; negative where B makes fewer errors."""
        return self.rate_b - self.rate_a

    @property
    def outcome(self) -> Outcome:
        """``better`` and ``worse`` are said of B, and only where they are significant."""
        if (
            self.measure != "cer"
            and self.measure_name != "CER"
            and max(self.rate_a, self.rate_b) > SATURATED_WER
        ):
            return "saturated"
        if self.adjusted_p >= SIGNIFICANT:
            return "no difference"
        return "better" if self.difference < 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """All differences between two rows: one primary for each measure, and the others.

    ``note`` says what was resampled.
    """

    a: str
    b: str
    normalizer: str
    primary: tuple[Difference, ...]
    others: tuple[Difference, ...]
    note: str


def macro_label(group: str) -> str:
    """The name of a group's macro mean.

    >>> macro_label("out_of_domain")
    'macro out-of-domain'
    """
    name = {"synthetic": "out-of-domain (synthetic)"}.get(group, group.replace("_", "-"))
    return f"macro {name}"


def _macro_difference(measure: Measure, a: Row, b: Row, group: str) -> Difference:
    return _difference(macro_label(group), True, measure, a.group(group), b.group(group))


def _difference(
    label: str,
    is_macro: bool,
    measure: Measure,
    a: Sequence[SetResult],
    b: Sequence[SetResult],
) -> Difference:
    draws: Floats = macro_draws(b, measure) - macro_draws(a, measure)
    low, high = percentile_interval(draws)
    p = bootstrap_p(draws)
    z, z_p = None, None
    if not is_macro:
        z, z_p = matched_pairs(b[0].errors(measure) - a[0].errors(measure))
    seeds_a, seeds_b = macro_rates(a, measure), macro_rates(b, measure)
    paired = len(seeds_a) == len(seeds_b)
    return Difference(
        label=label,
        is_macro=is_macro,
        measure=measure,
        measure_name=measure_label(a, measure),
        rate_a=macro_rate(a, measure),
        rate_b=macro_rate(b, measure),
        low=low,
        high=high,
        p=p,
        adjusted_p=p,
        z=z,
        z_p=z_p,
        detectable=smallest_detectable(draws),
        seed_differences=tuple(np.subtract(seeds_b, seeds_a).tolist()) if paired else (),
    )


def compare(a: Row, b: Row, measures: Sequence[Measure] | None = None) -> Comparison:
    """Compare B with A on all their test sets.

    Args:
        a, b: the rows.
        measures: error rates; if None, as :func:`espnet_otreg.scoring.rows.chosen_measures`.

    Raises:
        UserError: if normalisers, test sets or the recordings that trainings left out differ.
    """
    check_comparable([a, b])
    check_same_training_data(a, b)
    odd = {result.label for result in a.sets} ^ {result.label for result in b.sets}
    if odd:
        raise UserError(
            f"only one of '{a.name}' and '{b.name}' was scored on {min(odd)}",
            mend="score both on the same test sets",
        )
    groups = [group for group in _PRIMARY_ORDER if a.group(group)]
    primary, others = [], []
    for measure in chosen_measures([*a.sets, *b.sets], measures):
        primary.append(_macro_difference(measure, a, b, groups[0]))
        # The mean of a single test set would be that set once more.
        family = [
            _macro_difference(measure, a, b, group)
            for group in groups[1:]
            if len(a.group(group)) > 1
        ]
        family += [
            _difference(left.label, False, measure, [left], [right])
            for group in GROUPS
            for left, right in zip(a.group(group), b.group(group), strict=True)
        ]
        adjusted = holm([difference.p for difference in family])
        others += [
            replace(difference, adjusted_p=p)
            for difference, p in zip(family, adjusted, strict=True)
        ]
    return Comparison(
        a.name, b.name, a.normalizer, tuple(primary), tuple(others), resampling_note(a.sets)
    )


def verdict(difference: Difference, a: str, b: str) -> str:
    """One sentence on one difference.

    >>> d = Difference("en x", False, "wer", "WER", rate_a=20.0, rate_b=17.0, low=-5.0, high=-1.0,
    ...     p=0.002, adjusted_p=0.01, z=-3.0, z_p=0.003, detectable=2.9, seed_differences=())
    >>> verdict(d, "control", "OTReg")
    'OTReg is better than control: WER 3.0 points lower (95 % interval -5.0 to -1.0, p = 0.010).'
    """
    name = difference.measure_name
    interval = f"95 % interval {difference.low:+.1f} to {difference.high:+.1f}"
    statistics = f"({interval}, {format_p(difference.adjusted_p)})"
    if difference.outcome == "saturated":
        return (
            f"saturated: no conclusion from {name} ({a} {difference.rate_a:.1f}, "
            f"{b} {difference.rate_b:.1f}; above {SATURATED_WER:.0f} %)."
        )
    if difference.outcome == "no difference":
        return (
            f"no significant difference in {name}: {b} minus {a} is {difference.difference:+.1f} "
            f"points {statistics}; a true difference below {difference.detectable:.1f} points "
            "is missed more often than once in five."
        )
    size = f"{abs(difference.difference):.1f} points"
    direction = "lower" if difference.difference < 0 else "higher"
    return f"{b} is {difference.outcome} than {a}: {name} {size} {direction} {statistics}."


def format_p(p: float) -> str:
    """``p = 0.012``, or ``p < 0.001``.

    >>> format_p(0.0121), format_p(0.0001)
    ('p = 0.012', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def overview(comparison: Comparison, measure: Measure) -> str:
    """One sentence on all test sets of one measure, after Holm's adjustment."""
    singles = [d for d in comparison.others if d.measure == measure and not d.is_macro]
    outcomes = [d.outcome for d in singles]
    parts = [
        f"{outcomes.count(outcome)} {text}"
        for outcome, text in (
            ("better", f"where {comparison.b} is better"),
            ("worse", f"where {comparison.b} is worse"),
            ("no difference", "without a significant difference"),
            ("saturated", "saturated"),
        )
        if outcome in outcomes
    ]
    return f"{measure.upper()} in {len(singles)} test sets: {', '.join(parts)}."
