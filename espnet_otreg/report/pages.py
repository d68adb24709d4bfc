"""Everything that a report says beyond its summary, in pages by topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from espnet_otreg.report.alignment_results import NOTES, analysis_tables, gap_sentences
from espnet_otreg.report.collect import Report
from espnet_otreg.report.layout import mode_name, uses_llm
from espnet_otreg.report.methods import method_tables
from espnet_otreg.report.summary import PLAN, join_blocks
from espnet_otreg.scoring.compare import Comparison, overview, verdict
from espnet_otreg.scoring.results import (
    comparison_tables,
    result_tables,
    with_interval,
)
from espnet_otreg.scoring.rows import macro_rate
from espnet_otreg.scoring.table import Table

BARS = "Error rates by language with 95 % intervals"


@dataclass(frozen=True)
class Page:
    """One page of a report.

    Attributes:
        file: its name.
        title: what it is about, which is also the text of the link to it.
        blocks: the facts of an experiment -> paragraphs; none where it has nothing to say.
        picture: name and description of the picture that stands on it.
    """

    file: str
    title: str
    blocks: Callable[[Report], list[str]]
    picture: tuple[str, str] | None = None


def render_pages(report: Report, title: str, pictures: Mapping[str, str]) -> dict[Page, str]:
    """The pages of a report as Markdown, without those that have nothing to say.

    Args:
        report: its facts.
        title: of the experiment.
        pictures: name -> file, as seen from the pages, of the pictures that there are.
    """
    written = {}
    for page in PAGES:
        blocks = page.blocks(report)
        if not blocks:
            continue
        if page.picture and page.picture[0] in pictures:
            blocks.insert(0, f"![{page.picture[1]}]({pictures[page.picture[0]]})")
        written[page] = join_blocks([f"# {title}: {page.title.lower()}", *blocks])
    return written


def _error_rates(report: Report) -> list[str]:
    return [table.markdown() for table in result_tables(list(report.rows.values()))]


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
    pair, title_of = report.experiment.primary, report.experiment.title
    if selection.mode and pair is not None:
        mode = mode_name(selection.mode)
        sentences.append(
            f"{title_of(pair.candidate)} and {title_of(pair.baseline)} are compared in the mode "
            f"{mode}, in which the two together do best on the development set."
        )
    return [table.markdown(), " ".join(sentences), *_llm_adds(report)]


def _llm_adds(report: Report) -> list[str]:
    """Whether the LLM improves on what the same model reads without it, arm by arm, in-domain."""
    rates = {s: macro_rate(r.group("in_domain"), "wer") for s, r in report.rows.items() if s.mode}
    lines = []
    for system, ours in rates.items():
        without = [s for s in rates if s.arm == system.arm and not (s.is_floor or uses_llm(s.mode))]
        if uses_llm(system.mode) and without:
            beside = ", ".join(
                f"{'below' if ours < rates[s] else 'not below'} {mode_name(s.mode)} "
                f"{rates[s]:.1f} ({100 * (ours / rates[s] - 1):+.0f} % relative)"
                for s in without
            )
            lines.append(f"- {system.name}: {ours:.1f}, {beside}.")
    return ["What the LLM adds, in-domain WER (%):", *lines] if lines else []


def _comparison(report: Report) -> list[str]:
    if report.primary is None:
        return ["Not possible: no primary pair was scored on all test sets."]
    b = report.primary.b
    parts = [
        f"{b} against {report.primary.a}, decoded with {mode_name(report.selection.mode or '')}. "
        "One primary comparison for each measure, the macro mean out-of-domain; p values of all "
        f"other sets are adjusted by Holm. Below zero {b} is better. Out-of-domain CER "
        "stands beside WER as an equal; above 70 % WER allows no conclusion.",
        *_fairness(report),
        *(table.markdown() for table in comparison_tables(report.primary)),
    ]
    if report.secondary:
        parts.append("Further comparisons, of which none is primary:")
        parts += [f"- {_in_short(mode, comparison)}" for mode, comparison in report.secondary]
    return parts


def _methods(report: Report) -> list[str]:
    return [table.markdown() for table in method_tables(report)]


def _fairness(report: Report) -> list[str]:
    """In what the two arms of the primary comparison were trained differently."""
    if report.differing_keys is None or report.primary is None:
        return []
    names = ", ".join(f"`{key}`" for key in report.differing_keys) or "nothing"
    a, b = report.primary.a, report.primary.b
    return [f"The configurations that {a} and {b} were trained with differ in: {names}."]


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
        return ["Not measured: stage 13 (analyze) was not run."]
    parts = [table.markdown() for table in analysis_tables(report.analyses)]
    by_arm = {analysis.arm: analysis for analysis in report.analyses}
    pair = report.experiment.primary
    if pair is not None and {pair.baseline, pair.candidate} <= by_arm.keys():
        sentences = gap_sentences(by_arm[pair.baseline], by_arm[pair.candidate])
        parts += [f"- {line}" for line in sentences]
    return [*parts, *NOTES]


def _names(report: Report, role: str) -> str:
    """The pretrained models of all training runs, with the hub's commit where it is known."""
    return ", ".join(sorted({run[role] for run in report.runs})) or "unknown"


def _settings(found: Mapping[str, object]) -> str:
    """Settings in one cell.

    >>> _settings({"weight": 0.05, "length_bonus": 1.0})
    'weight 0.05, length_bonus 1.0'
    """
    return ", ".join(f"{key} {value}" for key, value in found.items())


def _provenance(report: Report) -> list[str]:
    """What a reader needs to repeat the numbers, and to distrust them."""
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
                f"`{run['config_sha256'][:12]}`",
                f"`{run['checkpoint_sha256'][:12]}`",
            )
            for run in report.runs
        ),
        names=1,
    )
    decoding = Table(
        "Settings of decoding that the development set chose, or that were given",
        ("arm", "seed", "mode", "settings"),
        tuple(
            (run["arm"], str(run["seed"]), mode_name(mode), _settings(found))
            for run in report.runs
            for mode, found in run["decoding"].items()
        ),
        names=4,
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
        *([decoding.markdown()] if decoding.lines else []),
        splits.markdown(),
        f"Normaliser `{first.normalizer}`. Scored lists of utterances, with their references: "
        + ", ".join(f"`{digest}`" for digest in scored)
        + ". Rows with other lists or another normaliser are refused.",
        f"Encoder: {_names(report, 'encoder')}. LLM: {_names(report, 'llm')}.",
        "## Missing or limited",
        *([f"- {line}" for line in report.missing] or ["Nothing."]),
    ]


PAGES = (
    Page("error_rates.md", "Error rates by language and test set", _error_rates, ("bars", BARS)),
    Page("development.md", "Choice on the development set", _development),
    Page("comparison.md", "Paired comparisons", _comparison),
    Page("methods.md", "Methods side by side", _methods),
    Page("embeddings.md", "Speech and text embeddings", _alignment, ("plan", PLAN)),
    Page("provenance.md", "Where the numbers come from, and what is missing", _provenance),
)
