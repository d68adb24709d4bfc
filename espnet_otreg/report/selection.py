"""What is chosen on the development set: the best system, and the mode of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from espnet_otreg.experiment import Pair
from espnet_otreg.report.layout import DEV_SET, Results, System
from espnet_otreg.scoring.rows import macro_rate


@dataclass(frozen=True)
class Selection:
    """Macro rates on the development set, in percent, and what follows from them.

    Attributes:
        dev: system -> (WER, CER), of those that were decoded on the development set.
        best: the system with the lowest WER, None without development scores.
        mode: the way of decoding in which the primary pair is compared: the one in which the two
            together have the lowest WER, so that neither is favoured.
    """

    dev: dict[System, tuple[float, float]]
    best: System | None
    mode: str | None


def select(results: Results) -> Selection:
    """Read the development scores of all systems."""
    dev = {}
    for system in results.systems():
        seeds = results.complete_seeds(system, [DEV_SET]) if system.mode else []
        if seeds and not system.is_floor:
            sets = results.row(system, seeds, [DEV_SET]).sets
            dev[system] = (macro_rate(sets, "wer"), macro_rate(sets, "cer"))
    best = min(dev, key=lambda system: dev[system]) if dev else None
    experiment = results.experiment
    return Selection(dev, best, _primary_mode(experiment.modes, dev, experiment.primary))


def _primary_mode(
    modes: tuple[str, ...], dev: Mapping[System, tuple[float, float]], pair: Pair | None
) -> str | None:
    """See :class:`Selection`; without development scores the last mode.

    >>> scores = {System("control", "llm"): (40.0, 9.0), System("otreg", "llm"): (38.0, 9.0),
    ...           System("control", "ctc"): (39.5, 9.0), System("otreg", "ctc"): (39.5, 9.0)}
    >>> _primary_mode(("ctc", "llm"), scores, Pair("control", "otreg"))
    'llm'
    """
    sums = {}
    names = (pair.baseline, pair.candidate) if pair is not None else ()
    for mode in modes if names else ():
        sides = [dev.get(System(name, mode)) for name in names]
        if None not in sides:
            sums[mode] = sum(rates[0] for rates in sides if rates is not None)
    if sums:
        return min(sums, key=lambda mode: sums[mode])
    return modes[-1] if modes else None
