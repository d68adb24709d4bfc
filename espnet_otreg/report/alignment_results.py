"""The measures of stage 13 (modality gap, retrieval, ...) by arm, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from espnet_otreg.experiment import Experiment
from espnet_otreg.files import read_json
from espnet_otreg.scoring.compare import SIGNIFICANT, format_p
from espnet_otreg.scoring.results import GROUP_TITLES
from espnet_otreg.scoring.score import GROUPS, macro
from espnet_otreg.scoring.significance import REPLICATIONS, bootstrap_p, percentile_interval
from espnet_otreg.scoring.table import Table

# Key in analysis.json -> title, format.
MEASURES = {
    "gap_cosine": ("gap, cosine", "{:.3f}"),
    "gap_transport": ("gap, transport", "{:.3f}"),
    "retrieval_cosine": ("retrieval, cosine (%)", "{:.1f}"),
    "retrieval_transport": ("retrieval, transport (%)", "{:.1f}"),
    "chance": ("chance (%)", "{:.1f}"),
    "anchor_frames": ("frames on anchor (%)", "{:.1f}"),
    "speech_anisotropy": ("speech anisotropy", "{:.3f}"),
    "text_anisotropy": ("text anisotropy", "{:.3f}"),
}
GAPS = ("gap_cosine", "gap_transport")
NOTES = (
    "Gap: how much nearer speech lies to its own transcript than to other transcripts of the same "
    "language and test set with as many different tokens (cosine: mean over the tokens of the "
    "cosine to the nearest frame, matched minus mismatched; transport: OTReg's transport cost, "
    "mismatched minus matched). Above zero the speech embeddings know what was said.",
    "Retrieval: share of utterances whose own transcript is the nearest of up to 50 fixed ones of "
    "its language and test set, after each transcript's mean over all utterances has been taken "
    "off, because short transcripts lie near to any speech.",
    "Frames on anchor: share of frames that give the anchor most of their mass in the plan with "
    "the right transcript. Anisotropy: mean cosine of two different embeddings; where it is far "
    "above zero all cosines are high, and only differences of cosines mean anything. All figures "
    "are means over languages, then over seeds.",
)


@dataclass(frozen=True)
class ArmAnalysis:
    """analysis.json of every seed of an arm, whose ``name`` is that of tables."""

    arm: str
    name: str
    seeds: tuple[dict[str, Any], ...]

    def mean(self, group: str, measure: str) -> float | None:
        """Macro mean over languages of one group of test sets, then over seeds."""
        means = []
        for analysis in self.seeds:
            rates = [
                (entry["language"], float(entry[measure]))
                for entry in analysis["sets"]
                if entry["group"] == group and entry[measure] is not None
            ]
            if rates:
                means.append(macro(rates))
        return sum(means) / len(means) if means else None


def read_analyses(experiment: Experiment) -> tuple[list[ArmAnalysis], list[str]]:
    """What there is of each arm, and one sentence for each arm without its analysis."""
    found, missing = [], []
    for arm in (*experiment.pretrainings, *experiment.arms):
        paths = [
            experiment.run_dir(arm, seed) / "analysis/analysis.json" for seed in experiment.seeds
        ]
        present = [path for path in paths if path.is_file()]
        if present:
            title = experiment.title(arm)
            found.append(ArmAnalysis(arm, title, tuple(read_json(path) for path in present)))
        if len(present) < len(paths) and arm in experiment.arms:
            missing.append(
                f"{experiment.title(arm)}: modality gap and retrieval measured for "
                f"{len(present)} of {len(paths)} seeds."
            )
    return found, missing


def analysis_tables(analyses: Sequence[ArmAnalysis]) -> list[Table]:
    """One table for each group of test sets, arms down, measures across."""
    tables = []
    for group in GROUPS:
        lines = []
        for analysis in analyses:
            means = {measure: analysis.mean(group, measure) for measure in MEASURES}
            if any(value is not None for value in means.values()):
                cells = (
                    "-" if means[measure] is None else form.format(means[measure])
                    for measure, (_, form) in MEASURES.items()
                )
                lines.append((analysis.name, *cells))
        if lines:
            header = ("arm", *(title for title, _ in MEASURES.values()))
            tables.append(Table(GROUP_TITLES[group], header, tuple(lines)))
    return tables


def gap_sentences(control: ArmAnalysis, rival: ArmAnalysis) -> list[str]:
    """The paired difference of the modality gap, in plain English, for each group of test sets."""
    sentences = []
    for group in GROUPS:
        for measure in GAPS:
            differences = _gap_differences(control, rival, group, measure)
            if differences is None:
                continue
            value, low, high, p = differences
            if p >= SIGNIFICANT:
                outcome = "no significant difference"
            else:
                outcome = "larger" if value > 0 else "smaller"
            kind = "cosine" if measure == "gap_cosine" else "transport"
            sentences.append(
                f"{GROUP_TITLES[group]}, {kind} gap: {rival.name} minus {control.name} is "
                f"{value:+.4f} (95 % interval {low:+.4f} to {high:+.4f}, {format_p(p)}): {outcome}."
            )
    return sentences


def _gap_differences(
    control: ArmAnalysis, rival: ArmAnalysis, group: str, measure: str
) -> tuple[float, float, float, float] | None:
    """Macro difference, interval and p: utterances are resampled within their test set."""
    sets = [
        (entry["language"], entry["domain"])
        for entry in control.seeds[0]["sets"]
        if entry["group"] == group
    ]
    draws, values = [], []
    for language, domain in sets:
        sides = [_by_utterance(side, language, domain, measure) for side in (control, rival)]
        keys = sorted(sides[0].keys() & sides[1].keys())
        if not keys:
            continue
        difference = np.array([sides[1][key] - sides[0][key] for key in keys])
        random = np.random.default_rng([0, len(keys)])
        picks = random.integers(0, len(keys), (REPLICATIONS, len(keys)))
        draws.append((language, difference[picks].mean(axis=1)))
        values.append((language, float(difference.mean())))
    if not draws:
        return None
    drawn = macro(draws)
    return (macro(values), *percentile_interval(drawn), bootstrap_p(drawn))


def _by_utterance(
    analysis: ArmAnalysis, language: str, domain: str, measure: str
) -> dict[str, float]:
    """Means over seeds, by utterance."""
    gathered: dict[str, list[float]] = {}
    for seed in analysis.seeds:
        for key, utterance in seed["utterances"].items():
            own = (utterance["language"], utterance["domain"]) == (language, domain)
            if own and utterance[measure] is not None:  # None: alone, nothing to compare with
                gathered.setdefault(key, []).append(float(utterance[measure]))
    return {key: sum(values) / len(values) for key, values in gathered.items()}
