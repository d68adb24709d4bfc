"""All methods side by side: error rates beside the control's, alignment, and the cost of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from espnet_otreg.experiment import PRETRAIN, Experiment
from espnet_otreg.report.alignment_results import MEASURES as ALIGNMENT
from espnet_otreg.report.alignment_results import ArmAnalysis
from espnet_otreg.report.collect import Report
from espnet_otreg.report.layout import System, mode_name
from espnet_otreg.scoring.compare import SIGNIFICANT, Comparison, macro_label
from espnet_otreg.scoring.results import ABSENT
from espnet_otreg.scoring.rows import Measure, Row, macro_rate
from espnet_otreg.scoring.table import Table

_COLUMNS: tuple[tuple[str, str, Measure], ...] = (
    ("in_domain", "ID WER", "wer"),
    ("out_of_domain", "OOD WER", "wer"),
    ("out_of_domain", "OOD CER", "cer"),
)
_ALIGNMENT = ("gap_cosine", "retrieval_transport")


def method_tables(report: Report) -> list[Table]:
    """Tables with a line for each method: one for each way of decoding, one of alignment and cost,
    then those of the other stages that have trained more than one model.

    None where there is nothing beside the primary pair.
    """
    experiment = report.experiment
    scored = dict.fromkeys(system.arm for system in report.rows if system.mode)
    by_stage: dict[str, list[str]] = {}
    for name in scored:
        by_stage.setdefault(experiment.training(name).stage, []).append(name)
    tables = []
    if (pair := experiment.primary) is not None and pair.baseline in scored:
        methods = by_stage.pop(experiment.training(pair.baseline).stage)
        if len(methods) > 2:
            tables = _rates(report, "Methods", methods, pair.baseline)
            tables.append(_alignment_and_cost(report, methods, pair.baseline))
    for stage, names in by_stage.items():
        baseline = _baseline(experiment, names)
        if len(names) > 1:
            ways = f"Ways of {experiment.title(baseline)}"
            kind = "Pretrainings" if stage == PRETRAIN else ways
            tables += _rates(report, kind, names, baseline)
    return tables


def _baseline(experiment: Experiment, names: Sequence[str]) -> str:
    """The first run that others among these are compared with; the first one, if there is none."""
    pairs = [pair for pair in experiment.pairs if pair.candidate in names]
    return next((pair.baseline for pair in pairs if pair.baseline in names), names[0])


def _rates(report: Report, kind: str, names: Sequence[str], baseline: str) -> list[Table]:
    """A table for each way of decoding that is no floor."""
    systems = [s for s in report.rows if s.arm in names and s.mode and not s.is_floor]
    modes = dict.fromkeys(system.mode for system in systems)
    ordered = sorted(names, key=lambda name: name != baseline)
    return [_rates_in(report, kind, ordered, mode, baseline) for mode in modes]


def _rates_in(report: Report, kind: str, arms: Sequence[str], mode: str, baseline: str) -> Table:
    """Macro error rates of every run and their paired differences from the baseline's."""
    title_of = report.experiment.title
    lines = []
    for arm in arms:
        row = report.rows.get(System(arm, mode))
        if row is None:
            continue
        comparison = _comparison(report, baseline, arm, mode)
        cells = [cell for column in _COLUMNS for cell in _cells(row, comparison, *column)]
        lines.append((title_of(arm), *cells))
    header = [name for _, title, _ in _COLUMNS for name in (title, "difference")]
    note = (
        f"Difference: the method minus {title_of(baseline)} in points, with its 95 % interval; "
        "below zero the method is better. A star: p below 0.05, on in-domain WER after Holm's "
        "adjustment over all its test sets."
    )
    title = f"{kind}, {mode_name(mode)}, macro over languages (%)"
    return Table(title, ("method", *header), tuple(lines), (note,))


def _cells(
    row: Row, comparison: Comparison | None, group: str, _title: str, measure: Measure
) -> tuple[str, str]:
    if not row.group(group):
        return ABSENT, ABSENT
    rate = f"{macro_rate(row.group(group), measure):.1f}"
    for d in (*comparison.primary, *comparison.others) if comparison else ():
        if (d.label, d.measure) == (macro_label(group), measure):
            star = " *" if d.adjusted_p < SIGNIFICANT else ""
            return rate, f"{d.difference:+.1f} ({d.low:+.1f} to {d.high:+.1f}){star}"
    return rate, ABSENT


def _comparison(report: Report, baseline: str, arm: str, mode: str) -> Comparison | None:
    names = (report.experiment.title(baseline), report.experiment.title(arm))
    candidates = list(report.secondary)
    if report.primary:
        candidates.append((report.selection.mode or "", report.primary))
    return next((c for m, c in candidates if m == mode and (c.a, c.b) == names), None)


def _alignment_and_cost(report: Report, arms: Sequence[str], baseline: str) -> Table:
    analyses: Mapping[str, ArmAnalysis] = {a.arm: a for a in report.analyses}
    lines = []
    for arm in arms:
        cells = []
        for group in ("in_domain", "out_of_domain"):
            for measure in _ALIGNMENT:
                value = analyses[arm].mean(group, measure) if arm in analyses else None
                cells.append(ABSENT if value is None else ALIGNMENT[measure][1].format(value))
        lines.append((report.experiment.title(arm), *cells, _step(report.step_times.get(arm))))
    titles = [f"{g} {ALIGNMENT[m][0]}" for g in ("ID", "OOD") for m in _ALIGNMENT]
    note = (
        f"Step: time of a training step as a multiple of {report.experiment.title(baseline)}'s, "
        "with a 95 % interval; measured by tools/benchmark_step.py."
    )
    return Table("Methods, alignment and cost", ("method", *titles, "step"), tuple(lines), (note,))


def _step(times: Mapping[str, Any] | None) -> str:
    if times is None:
        return ABSENT
    return f"{times['ratio']:.2f} ({times['low']:.2f} to {times['high']:.2f})"
