"""What is chosen on the development set, so that the test sets are touched once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from espnet_otreg.report.layout import DEV_SET, Experiment, System
from espnet_otreg.scoring.rows import macro_rate


@dataclass(frozen=True)
class Selection:
    """Macro rates on the development set, in percent, and what follows from them.

    Attributes:
        dev: system -> (WER, CER), of those that were decoded on the development set.
        best: the system with the lowest WER, None without development scores.
        mode: the way of decoding in which OTReg is compared with its control: the one in which
            the two together have the lowest WER, so that neither arm is favoured.
    """

    dev: dict[System, tuple[float, float]]
    best: System | None
    mode: str | None


def select(experiment: Experiment) -> Selection:
    """Read the development scores of all systems."""
    dev = {}
    for system in experiment.systems():
        seeds = experiment.complete_seeds(system, [DEV_SET]) if system.mode else []
        if seeds and not system.is_floor:
            sets = experiment.row(system, seeds, [DEV_SET]).sets
            dev[system] = (macro_rate(sets, "wer"), macro_rate(sets, "cer"))
    best = min(dev, key=lambda system: dev[system]) if dev else None
    return Selection(dev, best, _primary_mode(experiment.modes, dev))


def _primary_mode(modes: tuple[str, ...], dev: Mapping[System, tuple[float, float]]) -> str | None:
    """See :class:`Selection`; without development scores the last mode.

    >>> scores = {System("control", "llm"): (40.0, 9.0), System("otreg", "llm"): (38.0, 9.0),
    ...           System("control", "ctc"): (39.5, 9.0), System("otreg", "ctc"): (39.5, 9.0)}
    >>> _primary_mode(("ctc", "llm"), scores)
    'llm'
    """
    sums = {}
    for mode in modes:
        pair = [dev.get(System(arm, mode)) for arm in ("control", "otreg")]
        if None not in pair:
            sums[mode] = sum(rates[0] for rates in pair if rates is not None)
    if sums:
        return min(sums, key=lambda mode: sums[mode])
    return modes[-1] if modes else None
