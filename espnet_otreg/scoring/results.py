"""Tables of results: of one score, of several systems, of one comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from espnet_otreg.scoring.compare import Comparison, Difference, format_p, overview, verdict
from espnet_otreg.scoring.rows import (
    ALL_MEASURES,
    MEASURES,
    Measure,
    Row,
    SetResult,
    check_comparable,
    chosen_measures,
    macro_draws,
    macro_rate,
    macro_rates,
    measure_label,
    micro_rate,
    require_measures,
    resampling_note,
    synthetic_mark,
)
from espnet_otreg.scoring.score import GROUPS, Score, is_mixed, scored_with, summarize
from espnet_otreg.scoring.significance import percentile_interval
from espnet_otreg.scoring.table import Table

ABSENT = "-"
GROUP_TITLES = {
    "in_domain": "In-domain",
    "out_of_domain": "Out-of-domain",
    "synthetic": "Out-of-domain (synthetic speech)",
    "beside": "Beside the out-of-domain sets (in no mean of them)",
}
_SHORT_TITLES = {
    "in_domain": "in-domain",
    "out_of_domain": "OOD",
    "synthetic": "synthetic OOD",
    "beside": "beside",
}
_QUALITY_HEADER = ("empty", "loop", "over-long", "wrong script")
MER_NOTE = (
    "MER is the mixed error rate: a character of a script without spaces is one unit, a word of "
    "another script is one."
)
_INTERVAL_NOTE = (
    "± is half of the 95 % bootstrap interval over the test utterances; errors are averaged over "
    "seeds first, so how seeds vary is not in it."
)


def score_measures(score: Score, asked: Sequence[Measure] | None = None) -> tuple[Measure, ...]:
    """The error rates to show of one score: those asked for, else WER and CER, and MER if a set
    mixes scripts."""
    require_measures(asked or [])
    mixed = any(is_mixed(s.mixed_references, s.utterances) for s in score.sets)
    return tuple(dict.fromkeys(asked or (ALL_MEASURES if mixed else MEASURES)))


def score_tables(score: Score, measures: Sequence[Measure] | None = None) -> list[Table]:
    """What slm_score prints: the counts of every test set, then the means over languages.

    Args:
        score: what was scored.
        measures: error rates of the means; if None, as :func:`score_measures`. MER stands beside
            WER and CER if it is one of them.
    """
    shown = score_measures(score, measures)
    mer = ("MER",) if "mer" in shown else ()
    lines = []
    for s in score.sets:
        edits = (s.wer.reference_length, s.wer.substitutions, s.wer.deletions, s.wer.insertions)
        q = s.quality
        lines.append(
            (
                f"{s.language} {s.domain}{synthetic_mark(s.domain)}",
                str(s.utterances),
                f"{s.wer.rate:.1f}" + (" (CER)" if s.unit == "character" else ""),
                f"{s.wer_unaccented.rate:.1f}" if s.wer_unaccented else "",
                f"{s.cer.rate:.1f}",
                *(f"{s.mer.rate:.1f}" for _ in mer),
                *map(str, edits + (q.empty, q.loop, q.over_long, q.wrong_script)),
            )
        )
    header = ("set", "utts", "WER", "no accents", "CER", *mer, "ref", "sub", "del", "ins")
    empty = sum(s.empty_references for s in score.sets)
    notes = [f"{empty} empty references left out"] if empty else []
    if mer:
        notes.append(MER_NOTE)
    if score.equivalences:
        notes.append(_uses(score.equivalences))
    title = scored_with(score.normalizer, score.equivalences)
    counts = Table(title, header + _QUALITY_HEADER, tuple(lines), tuple(notes))
    means = []
    for group in GROUPS:
        if summary := summarize(score, group):
            rates = [summary[mean][m] for mean in ("macro", "micro") for m in shown]
            means.append((GROUP_TITLES[group], *(f"{rate:.1f}" for rate in rates)))
    columns = ("", *(f"{mean} {m.upper()}" for mean in ("macro", "micro") for m in shown))
    return [counts, Table("Means over languages", columns, tuple(means))]


def _uses(equivalences: Mapping[str, Any]) -> str:
    """How often the entries of a user's file were applied on either side."""
    sides = {"reference": 0, "hypothesis": 0}
    for entries in equivalences["uses"].values():
        for counts in entries.values():
            sides = {side: count + counts[side] for side, count in sides.items()}
    return (
        f"{equivalences['file']} applied {sides['reference']} times in references and "
        f"{sides['hypothesis']} times in hypotheses"
    )


def result_tables(rows: Sequence[Row], measures: Sequence[Measure] | None = None) -> list[Table]:
    """The tables of several systems: by language, by test set, and by seed if there are several.

    Args:
        rows: the systems.
        measures: error rates; if None, as :func:`espnet_otreg.scoring.rows.chosen_measures`.

    Raises:
        UserError: if the rows are not comparable.
    """
    check_comparable(rows)
    shown = chosen_measures([result for row in rows for result in row.sets], measures)
    tables = [
        _language_table(rows, group, measure)
        for group in GROUPS
        if any(row.group(group) for row in rows)
        for measure in shown
    ]
    sets = {result.label: result for row in rows for result in row.sets}
    notes = [_INTERVAL_NOTE, resampling_note(list(sets.values()))]
    notes += [MER_NOTE] if "mer" in shown else []
    tables[-1] = replace(tables[-1], notes=tuple(notes))
    tables.append(_set_table(rows, shown))
    if any(row.seeds > 1 for row in rows):
        tables.append(_seed_table(rows, shown))
    return tables


def with_interval(sets: Sequence[SetResult], measure: Measure) -> str:
    """Macro rate and half of its interval, as a cell: ``42.7 ±2.9``."""
    low, high = percentile_interval(macro_draws(sets, measure))
    return f"{macro_rate(sets, measure):.1f} ±{(high - low) / 2:.1f}"


def _sets_of(rows: Sequence[Row], group: str) -> dict[str, SetResult]:
    """The test sets of a group that any row has, by label."""
    return {result.label: result for row in rows for result in row.group(group)}


def _language_table(rows: Sequence[Row], group: str, measure: Measure) -> Table:
    """Lines are rows; columns are languages (the mean of a language's sets), macro and micro."""
    sets = _sets_of(rows, group)
    languages = sorted({result.language for result in sets.values()})
    accents = [
        language
        for language in languages
        if measure == "wer"
        and any(s.scores[0]["wer_unaccented"] for s in sets.values() if s.language == language)
    ]
    lines = []
    for row in rows:
        own = row.group(group)
        cells = [row.name]
        for language in languages:
            of_language = [result for result in own if result.language == language]
            cells.append(with_interval(of_language, measure) if of_language else ABSENT)
        for language in accents:
            of_language = [result for result in own if result.language == language]
            rates = [seed["wer_unaccented"]["rate"] for s in of_language for seed in s.scores]
            cells.append(f"{sum(rates) / len(rates):.1f}" if rates else ABSENT)
        # A mean over fewer test sets than its neighbours' would invite a false comparison.
        if len(own) < len(sets):
            cells += [ABSENT] * 3
        else:
            low, high = percentile_interval(macro_draws(own, measure))
            cells.append(f"{macro_rate(own, measure):.1f}")
            cells += [f"{low:.1f}-{high:.1f}", f"{micro_rate(own, measure):.1f}"]
        lines.append(tuple(cells))
    mark = " (synth.)" if group == "synthetic" else ""
    header = (
        "system",
        *(language + mark for language in languages),
        *(f"{language} no accents" for language in accents),
        *("macro", "95 % interval", "micro"),
    )
    title = f"{GROUP_TITLES[group]} {measure_label(list(sets.values()), measure)} (%)"
    return Table(title, header, tuple(lines))


def _set_table(rows: Sequence[Row], measures: Sequence[Measure]) -> Table:
    """One line for each test set and system, with sizes and quality counts of all seeds."""
    labels = dict.fromkeys(
        result.label for group in GROUPS for row in rows for result in row.group(group)
    )
    lines = []
    for label in labels:
        for row in rows:
            for result in row.sets:
                if result.label == label:
                    lines.append(_set_line(row, result, measures))
    header = ("test set", "system", "utts", "speakers", *map(str.upper, measures), *_QUALITY_HEADER)
    return Table(
        f"By test set ({rows[0].normalizer})",
        header,
        tuple(lines),
        ("Counts of odd hypotheses are sums over seeds.",),
        names=2,
    )


def _set_line(row: Row, result: SetResult, measures: Sequence[Measure]) -> tuple[str, ...]:
    # The rate by words of a language without spaces is its CER, which has a column of its own.
    absent = {"wer"} if result.unit == "character" else set()
    qualities = [score["quality"] for score in result.scores]
    return (
        result.label,
        row.name,
        str(result.scores[0]["utterances"]),
        str(result.scores[0]["speakers"] or "?"),
        *(ABSENT if m in absent else with_interval([result], m) for m in measures),
        *(
            str(sum(quality[kind] for quality in qualities))
            for kind in ("empty", "loop", "over_long", "wrong_script")
        ),
    )


def _seed_table(rows: Sequence[Row], measures: Sequence[Measure]) -> Table:
    """The macro means of every seed, in the order in which the score files were named."""
    groups = [group for group in GROUPS if any(row.group(group) for row in rows)]
    columns = [(group, measure) for group in groups for measure in measures]
    lines = []
    for row in rows:
        cells = []
        for group, measure in columns:
            complete = len(row.group(group)) == len(_sets_of(rows, group))
            rates = macro_rates(row.group(group), measure) if complete else []
            cells.append(", ".join(f"{rate:.1f}" for rate in rates) or ABSENT)
        lines.append((row.name, *cells))
    header = tuple(f"{_SHORT_TITLES[group]} {measure.upper()}" for group, measure in columns)
    return Table("Macro of each seed (%)", ("system", *header), tuple(lines))


def comparison_tables(comparison: Comparison) -> list[Table]:
    """What slm_compare prints: for each measure one table with verdicts, and one by seed."""
    tables = []
    for measure in dict.fromkeys(d.measure for d in comparison.primary):
        differences = [d for d in (*comparison.primary, *comparison.others) if d.measure == measure]
        tables.append(_difference_table(comparison, differences))
        if len(differences[0].seed_differences) > 1:
            seeds = [tuple(f"{x:+.1f}" for x in d.seed_differences) for d in differences]
            tables.append(
                Table(
                    f"{differences[0].measure_name} difference of each seed, in points",
                    ("test set", *(f"seed {n + 1}" for n in range(len(seeds[0])))),
                    tuple((d.label, *cells) for d, cells in zip(differences, seeds, strict=True)),
                )
            )
    return tables


def _difference_table(comparison: Comparison, differences: Sequence[Difference]) -> Table:
    """The first difference is the primary one."""
    primary, measure = differences[0], differences[0].measure
    notes = [
        f"{primary.label}: {verdict(primary, comparison.a, comparison.b)}",
        overview(comparison, measure),
        comparison.note,
    ]
    lines = [
        (
            d.label + (" [primary]" if d is primary else ""),
            f"{d.rate_a:.1f}",
            f"{d.rate_b:.1f}",
            f"{d.difference:+.1f}",
            f"{d.low:+.1f} to {d.high:+.1f}",
            _p_cell(d.p),
            ABSENT if d is primary else _p_cell(d.adjusted_p),
            ABSENT if d.z is None or d.z_p is None else f"{d.z:+.2f} ({_p_cell(d.z_p)})",
            f"{d.detectable:.1f}",
            d.outcome,
        )
        for d in differences
    ]
    return Table(
        f"{primary.measure_name}, {comparison.b} minus {comparison.a}, in points "
        f"({comparison.normalizer})",
        (
            *("test set", comparison.a, comparison.b, "points", "95 % interval", "p", "Holm p"),
            *("matched-pairs Z (p)", "detectable", "verdict"),
        ),
        tuple(lines),
        tuple(notes),
    )


def _p_cell(p: float) -> str:
    return format_p(p).removeprefix("p = ").removeprefix("p ")
