"""The answer of an experiment in few lines: verdict, headline, and where the rest is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from espnet_otreg.report.collect import Report
from espnet_otreg.report.layout import System, mode_name
from espnet_otreg.report.methods import method_tables
from espnet_otreg.scoring.compare import Comparison, verdict
from espnet_otreg.scoring.results import ABSENT, with_interval
from espnet_otreg.scoring.rows import Row, chosen_measures
from espnet_otreg.scoring.score import GROUPS
from espnet_otreg.scoring.table import Table

PLAN = "A transport plan: which moment of the recording belongs to which token"
_SHORT = {
    "in_domain": "ID",
    "out_of_domain": "OOD",
    "synthetic": "OOD synth.",
    "beside": "beside",
}


def headline(
    rows: Sequence[Row], chosen: str | None = None, wanted: Sequence[str] = GROUPS
) -> Table:
    """Macro WER and CER of every row, in-domain and out-of-domain, side by side.

    Args:
        rows: in the order of the lines.
        chosen: name of the row that the development set chose, which gets a star.
        wanted: the groups of test sets to show, where they are.
    """
    groups = [group for group in wanted if any(row.group(group) for row in rows)]
    # A mean over fewer test sets than its neighbours' would invite a false comparison.
    full = {group: max(len(row.group(group)) for row in rows) for group in groups}
    measures = chosen_measures([result for row in rows for result in row.sets])
    lines = [
        (
            row.name + (" *" if row.name == chosen else ""),
            *(
                with_interval(row.group(group), measure)
                if len(row.group(group)) == full[group]
                else ABSENT
                for group in groups
                for measure in measures
            ),
        )
        for row in rows
    ]
    header = tuple(f"{_SHORT[g]} {m.upper()}" for g in groups for m in measures)
    notes = ("A star: chosen on the development set.",) if chosen else ()
    return Table("Macro over languages (%)", ("system", *header), tuple(lines), notes)


def compact(rows: Sequence[Row]) -> Table:
    """One line a row, one column a language: ``WER in-domain / out-of-domain``."""
    languages = sorted({result.language for row in rows for result in row.sets})
    lines = []
    for row in rows:
        cells = []
        for language in languages:
            parts = []
            for groups in (("in_domain",), ("out_of_domain", "synthetic")):
                sets = [s for s in row.sets if s.group in groups and s.language == language]
                mean = sum(s.rate("wer") for s in sets) / len(sets) if sets else None
                synthetic = any(s.group == "synthetic" for s in sets)
                parts.append(ABSENT if mean is None else f"{mean:.0f}" + "s" * synthetic)
            cells.append(" / ".join(parts))
        lines.append((row.name, *cells))
    note = "Out-of-domain figures with an s are of synthetic speech."
    title = "WER (%) by language, in-domain / out-of-domain"
    return Table(title, ("system", *languages), tuple(lines), (note,))


def terminal(report: Report) -> str:
    """What stage 14 prints: the compact table, the headline and the verdict."""
    rows = list(report.rows.values())
    best = report.selection.best.name if report.selection.best else None
    parts = [compact(rows).text(), headline(rows, best).text()]
    if report.primary:
        parts.append("\n".join(verdict_lines(report.primary)))
    return "\n\n".join(parts) + "\n"


def verdict_lines(comparison: Comparison) -> list[str]:
    """The verdict on the primary comparison for each measure, in plain English."""
    return [
        f"{d.label[0].upper()}{d.label[1:]} {d.measure_name}: "
        f"{verdict(d, comparison.a, comparison.b)}"
        for d in comparison.primary
    ]


def join_blocks(blocks: Sequence[str]) -> str:
    """Blocks with empty lines between them, but none between the items of a list.

    >>> join_blocks(["a", "- b", "- c", "d"])
    'a\\n\\n- b\\n- c\\n\\nd\\n'
    """
    text = blocks[0]
    for before, block in zip(blocks, blocks[1:], strict=False):
        in_list = before.startswith("- ") and block.startswith("- ")
        text += ("\n" if in_list else "\n\n") + block
    return text + "\n"


def summary(report: Report, title: str, links: Mapping[str, str]) -> str:
    """The section of RESULTS.md on an experiment, and results.md of its report.

    Args:
        report: its facts.
        title: of the section.
        links: description -> path, as seen from the document, of everything else.
    """
    rows = list(report.rows.values())
    best = report.selection.best
    table = headline(rows, best.name if best else None)
    return _section(report, title, [table, set_table(report)], links)


def methods_summary(report: Report, title: str, links: Mapping[str, str]) -> str:
    """The section of RESULTS.md on all methods of an experiment, in the mode of the primary
    comparison; as :func:`summary`."""
    mode = mode_name(report.selection.mode or "")
    tables = method_tables(report)
    chosen = [table for table in tables if f", {mode}, " in table.title]
    return _section(report, title, (chosen or tables)[:1], links)


def _section(report: Report, title: str, tables: Sequence[Table], links: Mapping[str, str]) -> str:
    seeds = ", ".join(map(str, report.seeds))
    plural = "s" if len(report.seeds) > 1 else ""
    return join_blocks(
        [
            f"## {title}",
            *(f"**{line}**" for line in _verdict(report)),
            f"Seed{plural} {seeds}; `{report.command}`.",
            *(table.markdown() for table in tables),
            *(f"- [{text}]({path})" for text, path in links.items()),
        ]
    )


def _verdict(report: Report) -> list[str]:
    return verdict_lines(report.primary) if report.primary else []


def readme_section(report: Report, picture: str | None) -> str:
    """What README.md shows: two small tables, the verdict and one picture.

    Args:
        report: the facts of an experiment.
        picture: path, as seen from README.md, of the transport plan.
    """
    tables = [small_table(report).markdown(), set_table(report).markdown()]
    parts = [*tables, " ".join(_verdict(report))]
    if picture:
        parts.append(f"![{PLAN}]({picture})")
    return "\n\n".join(part for part in parts if part)


def small_table(report: Report) -> Table:
    """Macro error rates of the systems that matter most; synthetic speech is left out."""
    best = report.selection.best
    rows = [report.rows[system] for system in _main_systems(report)]
    chosen = best.name if best else None
    return headline(rows, chosen, ("in_domain", "out_of_domain"))


def set_table(report: Report) -> Table:
    """WER and CER of every test set, for the baseline and all ways of decoding of one model."""
    systems = [s for s in _main_systems(report) if not s.mode or s.arm == _shown_arm(report)]
    rows = [report.rows[system] for system in systems]
    cells = [
        {s.label: f"{s.rate('wer'):.1f} / {s.rate('cer'):.1f}" for s in row.sets} for row in rows
    ]
    groups = {s.label: GROUPS.index(s.group) for row in rows for s in row.sets}
    labels = sorted(groups, key=lambda label: (groups[label], label))
    lines = tuple((label, *(cell.get(label, ABSENT) for cell in cells)) for label in labels)
    return Table("WER / CER by test set (%)", ("set", *(row.name for row in rows)), lines)


def _shown_arm(report: Report) -> str:
    """The run whose ways of decoding are shown beside each other: the one that the development
    set chose."""
    if report.selection.best is not None:
        return report.selection.best.arm
    pair = report.experiment.primary
    return pair.baseline if pair else report.experiment.arms[0]


def _main_systems(report: Report) -> list[System]:
    """The baseline, every way of decoding of one run, and both sides of the primary comparison in
    its mode; all systems, if none of them was scored."""
    pair, arm = report.experiment.primary, _shown_arm(report)
    sides = (pair.baseline, pair.candidate) if pair else ()
    shown = [
        system
        for system in report.rows
        if not system.mode
        or (system.arm == arm and not system.is_floor)
        or (system.mode == report.selection.mode and system.arm in sides)
    ]
    return shown or list(report.rows)
