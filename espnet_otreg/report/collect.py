"""The facts that the report on one experiment is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.experiment import Experiment, Pair
from espnet_otreg.report.alignment_results import ArmAnalysis, read_analyses
from espnet_otreg.report.environment import environment
from espnet_otreg.report.layout import TEST_SETS, Results, System
from espnet_otreg.report.provenance import configuration_differences, split_facts, training_runs
from espnet_otreg.report.selection import Selection, select
from espnet_otreg.scoring.compare import Comparison, compare
from espnet_otreg.scoring.rows import Row, chosen_measures, macro_draws, macro_rate, macro_rates
from espnet_otreg.scoring.score import GROUPS
from espnet_otreg.scoring.significance import percentile_interval


@dataclass(frozen=True)
class Report:
    """The facts of one experiment.

    Attributes:
        name: of the experiment directory, which is the preset's.
        experiment: what was asked for, with the names of all runs.
        rows: one for each system that was scored on all test sets.
        primary: the primary pair in the mode chosen on dev, if both were scored.
        secondary: mode and comparison: the other pairs in that mode, all pairs in the others.
        missing: one sentence for each thing that should be there.
        differing_keys: of the configurations of the primary pair; None if not both are there.
        step_times: see :meth:`espnet_otreg.report.layout.Results.step_times`.
    """

    name: str
    experiment: Experiment
    command: str
    environment: dict[str, str]
    runs: list[dict[str, Any]]
    splits: list[dict[str, Any]]
    rows: dict[System, Row]
    selection: Selection
    primary: Comparison | None
    secondary: list[tuple[str, Comparison]]
    analyses: list[ArmAnalysis]
    missing: list[str]
    seeds: tuple[int, ...]
    differing_keys: list[str] | None
    step_times: dict[str, dict[str, float]]


def collect(
    experiment: Experiment,
    command: str,
    data_dirs: Sequence[Path],
    split_record: Path | None,
) -> Report:
    """Read all scores and analyses of an experiment.

    Raises:
        UserError: if there is not one complete row.
    """
    results = Results(experiment)
    rows = {}
    for system in results.systems():
        seeds = results.complete_seeds(system, TEST_SETS)
        if seeds:
            rows[system] = results.row(system, seeds, TEST_SETS)
    if not rows:
        raise UserError(
            "no system was scored on all test sets",
            str(experiment.directory),
            "run stages 11 (decode) and 12 (score) first",
        )
    selection = select(results)
    analyses, unmeasured = read_analyses(experiment)
    modes = [m for m in (selection.mode, *experiment.modes) if m]
    comparisons = [
        (mode, pair, comparison)
        for mode in dict.fromkeys(modes)
        for pair in experiment.pairs
        if (comparison := _compare(results, rows, pair, mode)) is not None
    ]
    first = (selection.mode, experiment.primary)
    missing = results.missing() + unmeasured
    if not selection.dev:
        missing.append("No development scores: no row is chosen, the comparison's mode is fixed.")
    if len(experiment.seeds) == 1:
        missing.append("One seed only: how much training runs vary is not known, so no claim.")
    return Report(
        name=experiment.directory.name,
        experiment=experiment,
        command=command,
        environment=environment(),
        runs=training_runs(experiment),
        splits=split_facts(data_dirs, split_record),
        rows=rows,
        selection=selection,
        primary=next((c for mode, pair, c in comparisons if (mode, pair) == first), None),
        secondary=[(mode, c) for mode, pair, c in comparisons if (mode, pair) != first],
        analyses=analyses,
        missing=missing,
        seeds=experiment.seeds,
        differing_keys=configuration_differences(experiment),
        step_times=results.step_times(),
    )


def _compare(results: Results, rows: dict[System, Row], pair: Pair, mode: str) -> Comparison | None:
    """The comparison of two runs in one mode over the seeds that both have."""
    names = (pair.baseline, pair.candidate)
    systems = [System(name, mode, results.experiment.title(name)) for name in names]
    if any(system not in rows for system in systems):
        return None
    seeds = [results.complete_seeds(system, TEST_SETS) for system in systems]
    common = [seed for seed in seeds[0] if seed in seeds[1]]
    if not common:
        return None
    # Rows keep their bootstrap draws, so those that are there already are taken where they can be.
    sides = [
        rows[system] if own == common else results.row(system, common, TEST_SETS)
        for system, own in zip(systems, seeds, strict=True)
    ]
    a, b = (replace(row, name=s.arm_name) for row, s in zip(sides, systems, strict=True))
    return compare(a, b)


def to_json(report: Report) -> dict[str, Any]:
    """The content of results.json: every number of the report's tables."""
    return {
        "format": "otreg-results-1",
        "experiment": report.name,
        "command": report.command,
        "environment": report.environment,
        "training_runs": report.runs,
        "splits": report.splits,
        "seeds": list(report.seeds),
        "rows": [_row_to_json(system, row) for system, row in report.rows.items()],
        "development": [
            {"row": system.name, "wer": round(wer, 4), "cer": round(cer, 4)}
            for system, (wer, cer) in report.selection.dev.items()
        ],
        "chosen_on_dev": report.selection.best.name if report.selection.best else None,
        "primary": _comparison_to_json(report.primary) if report.primary else None,
        "primary_pair_differs_in": report.differing_keys,
        "primary_mode": report.selection.mode,
        "secondary": [
            {"mode": mode, **_comparison_to_json(comparison)}
            for mode, comparison in report.secondary
        ],
        "step_times": report.step_times,
        "missing": report.missing,
    }


def _row_to_json(system: System, row: Row) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for group in GROUPS:
        sets = row.group(group)
        if not sets:
            continue
        groups[group] = {}
        for measure in chosen_measures(row.sets):
            low, high = percentile_interval(macro_draws(sets, measure))
            groups[group][measure] = {
                "macro": round(macro_rate(sets, measure), 4),
                "interval": [round(low, 4), round(high, 4)],
                "seeds": [round(rate, 4) for rate in macro_rates(sets, measure)],
                "sets": {result.label: round(result.rate(measure), 4) for result in sets},
            }
    return {"name": row.name, "arm": system.arm, "mode": system.mode, "groups": groups}


def _comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "a": comparison.a,
        "b": comparison.b,
        "differences": [
            {
                "set": d.label,
                "measure": d.measure,
                "a": round(d.rate_a, 4),
                "b": round(d.rate_b, 4),
                "interval": [round(d.low, 4), round(d.high, 4)],
                "p": round(d.p, 5),
                "holm_p": round(d.adjusted_p, 5),
                "detectable": round(d.detectable, 4),
                "outcome": d.outcome,
                "seeds": [round(value, 4) for value in d.seed_differences],
            }
            for d in (*comparison.primary, *comparison.others)
        ],
    }
