"""The report on one experiment as Markdown, and its headline as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from espnet_otreg.report.alignment_results import NOTES, analysis_tables, gap_sentences
from espnet_otreg.report.collect import Report
from espnet_otreg.report.layout import System, mode_name
from espnet_otreg.report.methods import method_tables
from espnet_otreg.scoring.compare import Comparison, overview, verdict
from espnet_otreg.scoring.results import (
    ABSENT,
    comparison_tables,
    result_tables,
    with_interval,
)
from espnet_otreg.scoring.rows import Row, chosen_measures, macro_rate
from espnet_otreg.scoring.score import GROUPS
from espnet_otreg.scoring.table import Table

_SHORT = {"in_domain": "ID", "out_of_domain": "OOD", "synthetic": "OOD synth."}


def headline(rows: Sequence[Row], chosen: str | None = None) -> Table:
    """Macro WER and CER of every row, in-domain and out-of-domain, side by side.

    Args:
        rows: in the order of the lines.
        chosen: name of the row that the development set chose, which gets a star.
    """
    groups = [group for group in GROUPS if any(row.group(group) for row in rows)]
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
    notes = ("* chosen on the development set.",) if chosen else ()
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
    """What stage 13 prints: the compact table, the headline and the verdict."""
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


def markdown(report: Report, title: str, images: Sequence[tuple[str, str]]) -> str:
    """The section of RESULTS.md on one experiment.

    Args:
        report: its facts.
        title: of the section.
        images: (description, path as seen from RESULTS.md) of each picture.
    """
    rows = list(report.rows.values())
    best = report.selection.best
    sections = [
        f"## {title}",
        *_summary(report),
        "### Error rates",
        headline(rows, best.name if best else None).markdown(),
        *(f"![{text}]({path})" for text, path in images),
        *(table.markdown() for table in result_tables(rows)),
        "### Choice on the development set",
        *_development(report),
        "### OTReg against its control",
        *_comparison(report),
        *_methods(report),
        "### Speech and text embeddings",
        *_alignment(report),
        *_origin(report),
    ]
    return join_blocks(sections)


def methods_markdown(report: Report, title: str) -> str:
    """The section of RESULTS.md on all methods of an experiment, one line each.

    Args:
        report: its facts.
        title: of the section.
    """
    sections = [
        f"## {title}",
        *_summary(report),
        *_methods(report),
        *_origin(report),
    ]
    return join_blocks(sections)


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


def _summary(report: Report) -> list[str]:
    """The answer first."""
    lines = []
    if report.primary:
        lines += [f"**{line}**" for line in verdict_lines(report.primary)]
    seeds = ", ".join(map(str, report.seeds))
    plural = "s" if len(report.seeds) > 1 else ""
    lines.append(f"Seed{plural} {seeds}; `{report.command}`.")
    return lines


def _development(report: Report) -> list[str]:
    selection = report.selection
    if not selection.dev:
        return ["No development scores, so nothing was chosen."]
    lines = tuple(
        (system.name + (" *" if system == selection.best else ""), f"{wer:.1f}", f"{cer:.1f}")
        for system, (wer, cer) in selection.dev.items()
    )
    table = Table("Development set, macro over languages (%)", ("system", "WER", "CER"), lines)
    sentences = []
    if selection.best in report.rows:
        row = report.rows[selection.best]
        wer = with_interval(row.group("in_domain"), "wer")
        sentences.append(f"Chosen: **{selection.best.name}**, in-domain test WER {wer} %.")
    if selection.mode:
        mode = mode_name(selection.mode)
        sentences.append(
            f"OTReg and its control are compared in the mode {mode}, in which the two together "
            "do best on the development set."
        )
    return [table.markdown(), " ".join(sentences), *_llm_adds(report)]


def _llm_adds(report: Report) -> list[str]:
    """Whether the LLM improves on the CTC read-out of the same model, arm by arm, in-domain."""
    lines = []
    for system, row in report.rows.items():
        ctc = report.rows.get(System(system.arm, "ctc"))
        if system.mode in ("llm", "joint") and ctc is not None:
            ours, theirs = (macro_rate(r.group("in_domain"), "wer") for r in (row, ctc))
            word = "below" if ours < theirs else "not below"
            lines.append(
                f"- {system.name}: {ours:.1f} %, {word} the CTC read-out's {theirs:.1f} %."
            )
    return ["What the LLM adds, in-domain WER:", *lines] if lines else []


def _comparison(report: Report) -> list[str]:
    if report.primary is None:
        return ["Not possible: OTReg and its control were not both scored on all test sets."]
    parts = [
        f"Decoded with {mode_name(report.selection.mode or '')}. One primary comparison for each "
        "measure, the macro mean out-of-domain; p values of all other sets are adjusted by Holm. "
        "Below zero OTReg is better. Out-of-domain CER stands beside WER as an equal; above 70 % "
        "WER allows no conclusion.",
        *_fairness(report),
        *(table.markdown() for table in comparison_tables(report.primary)),
    ]
    if report.secondary:
        parts.append("Further comparisons, of which none is primary:")
        parts += [f"- {_in_short(mode, comparison)}" for mode, comparison in report.secondary]
    return parts


def _methods(report: Report) -> list[str]:
    tables = [table.markdown() for table in method_tables(report)]
    return ["### Methods side by side", *tables] if tables else []


def _limits(report: Report) -> list[str]:
    return [f"- {line}" for line in report.missing] or ["Nothing."]


def _fairness(report: Report) -> list[str]:
    """In what the two arms of the primary comparison were trained differently."""
    if report.differing_keys is None:
        return []
    names = ", ".join(f"`{key}`" for key in report.differing_keys) or "nothing"
    return [f"The configurations that control and OTReg were trained with differ in: {names}."]


def _in_short(mode: str, comparison: Comparison) -> str:
    verdicts = " ".join(
        f"{d.measure_name}, {d.label}: {verdict(d, comparison.a, comparison.b)}"
        for d in comparison.primary
    )
    overviews = " ".join(overview(comparison, d.measure) for d in comparison.primary)
    title = f"{comparison.b} against {comparison.a}, {mode_name(mode)}"
    return f"**{title}**: {verdicts} {overviews}"


def _alignment(report: Report) -> list[str]:
    if not report.analyses:
        return ["Not measured: stage 12 (analyze) was not run."]
    parts = [table.markdown() for table in analysis_tables(report.analyses)]
    by_arm = {analysis.arm: analysis for analysis in report.analyses}
    if "control" in by_arm and "otreg" in by_arm:
        parts += [f"- {line}" for line in gap_sentences(by_arm["control"], by_arm["otreg"])]
    return [*parts, *NOTES]


def _origin(report: Report) -> list[str]:
    """What a reader needs to repeat the numbers, and to distrust them."""
    return [
        "### Where the numbers come from",
        *_provenance(report),
        "### Missing or limited",
        *_limits(report),
    ]


def _names(report: Report, role: str) -> str:
    """The pretrained models of all training runs, with the hub's commit where it is known."""
    return ", ".join(sorted({run[role] for run in report.runs})) or "unknown"


def _provenance(report: Report) -> list[str]:
    environment = Table("Environment", ("", ""), tuple(report.environment.items()), names=2)
    runs = Table(
        "Training runs",
        (
            *(
                "arm",
                "seed",
                "steps",
                "regularizers",
                "seconds (last call)",
                "weight of the LLM in joint",
            ),
            *("config sha256", "checkpoint sha256"),
        ),
        tuple(
            (
                run["arm"],
                str(run["seed"]),
                str(run["steps"] or "?"),
                run["regularizers"] or "none",
                "?" if run["seconds"] is None else f"{run['seconds']:.0f}",
                ABSENT if run["joint_weight"] is None else f"{run['joint_weight']:.2f}",
                f"`{run['config_sha256'][:12]}`",
                f"`{run['checkpoint_sha256'][:12]}`",
            )
            for run in report.runs
        ),
        names=1,
    )
    splits = Table(
        "Utterances of each set (sha256 of the sorted ids)",
        ("set", "utterances", "sha256", "against conf/split.json"),
        tuple(
            (split["set"], str(split["utterances"]), f"`{split['sha256'][:16]}`", split["record"])
            for split in report.splits
        ),
    )
    scored = sorted({result.test_set[:16] for row in report.rows.values() for result in row.sets})
    first = next(iter(report.rows.values()))
    return [
        environment.markdown(),
        runs.markdown(),
        splits.markdown(),
        f"Normaliser `{first.normalizer}`. Scored lists of utterances, with their references: "
        + ", ".join(f"`{digest}`" for digest in scored)
        + ". Rows with other lists or another normaliser are refused.",
        f"Encoder: {_names(report, 'encoder')}. LLM: {_names(report, 'llm')}.",
    ]
