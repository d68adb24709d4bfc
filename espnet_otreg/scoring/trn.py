"""Kaldi-style score directories: ``ref.trn``, ``hyp.trn`` for sclite and a readable result."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from espnet_otreg.data.languages import canonical_language
from espnet_otreg.files import atomic_write
from espnet_otreg.scoring.error_rate import AlignedToken, ErrorCounts, align
from espnet_otreg.scoring.mixed import split_mixed
from espnet_otreg.scoring.normalize import (
    SPACELESS_LANGUAGES,
    split_characters,
    split_words,
)
from espnet_otreg.scoring.score import Score, ScoredUtterance, SetScore, scored_with

Measure = Literal["wer", "cer", "mer"]
MEASURES: tuple[Measure, ...] = ("wer", "cer")
_COUNTS = {"wer": ("wer", "word"), "cer": ("cer", "character"), "mer": ("mer", "mixed")}
WORST_UTTERANCES = 20
ALIGNMENT_WIDTH = 95


def counted_tokens(text: str, language: str) -> list[str]:
    """The words, or the characters of a language without spaces.

    >>> counted_tokens("l'été", "fr"), counted_tokens("你好", "zh")
    (['l', 'été'], ['你', '好'])
    """
    spaceless = canonical_language(language) in SPACELESS_LANGUAGES
    return split_characters(text, language) if spaceless else split_words(text, language)


def trn_line(tokens: Sequence[str], speaker: str, utterance_id: str) -> str:
    """One line of a trn file; it is empty before the tab if there is no token.

    >>> trn_line(["press", "one"], "allison", "en_1")
    'press one\\t(allison-en_1)'
    """
    return f"{' '.join(tokens)}\t({speaker}-{utterance_id})"


def display_width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining marks none.

    >>> display_width("你a"), display_width("é"), display_width("e\\u0301")
    (3, 1, 1)
    """
    return sum(
        0
        if unicodedata.category(c) in ("Mn", "Me")
        else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def format_alignment(steps: Sequence[AlignedToken], width: int = ALIGNMENT_WIDTH) -> str:
    """Reference, hypothesis and marks (S, D, I) above one another, folded at ``width`` columns.

    >>> print(format_alignment(align([["dial", "one"]], [["won"]])[0]))
    REF: dial one
    HYP: won  ***
         S    D
    """
    blocks: list[list[tuple[str, ...]]] = [[]]
    used = 0
    for step in steps:
        cells = _padded_cells(step)
        used += display_width(cells[0]) + 1
        if used > width and blocks[-1]:
            blocks.append([])
            used = display_width(cells[0]) + 1
        blocks[-1].append(cells)
    lines = [
        (label + " ".join(row)).rstrip()
        for block in blocks
        for label, row in zip(("REF: ", "HYP: ", "     "), zip(*block, strict=True), strict=False)
    ]
    return "\n".join(lines)


def _padded_cells(step: AlignedToken) -> tuple[str, ...]:
    """Reference, hypothesis (asterisks for none) and mark, of the same width."""
    absent = "*" * display_width(step.reference or step.hypothesis)
    mark = "" if step.kind == "equal" else step.kind[0].upper()
    cells = (step.reference or absent, step.hypothesis or absent, mark)
    width = max(map(display_width, cells))
    return tuple(cell + " " * (width - display_width(cell)) for cell in cells)


def _tokens(text: str, language: str, measure: Measure, space: str) -> list[str]:
    """What ``measure`` counts, with spaces made visible."""
    if measure == "wer":
        return counted_tokens(text, language)
    if measure == "mer":
        return split_mixed(text, language)
    return [space if c == " " else c for c in split_characters(text, language)]


def _counts(scored: SetScore | ScoredUtterance, measure: Measure) -> ErrorCounts:
    of_set, of_utterance = _COUNTS[measure]
    counts = getattr(scored, of_set if isinstance(scored, SetScore) else of_utterance)
    assert isinstance(counts, ErrorCounts)
    return counts


def worst_utterances(score: Score, measure: Measure = "wer") -> list[ScoredUtterance]:
    """The 20 utterances with most errors, the most first."""
    ranked = sorted(score.utterances, key=lambda u: (-_counts(u, measure).errors, u.utterance_id))
    return ranked[:WORST_UTTERANCES]


def format_result(score: Score, measure: Measure) -> str:
    """Counts of every test set, then the worst utterances with their alignments."""
    rules = scored_with(score.normalizer, score.equivalences)
    lines = [f"normalizer: {rules}", f"test set: {score.test_set}", ""]
    row = "{:28} {:9} {:>6} {:>7} {:>7} {:>6} {:>6} {:>6} {:>8}"
    header = ("set", "unit", "utts", "ref", "hits", "sub", "del", "ins", f"{measure.upper()} %")
    lines.append(row.format(*header))
    for s in score.sets:
        n = _counts(s, measure)
        unit = {"wer": s.unit, "cer": "character", "mer": "mixed"}[measure]
        edits = (n.hits, n.substitutions, n.deletions, n.insertions)
        cells = (s.utterances, n.reference_length, *edits, f"{n.rate:.2f}")
        lines.append(row.format(f"{s.language} {s.domain}", unit, *cells))
    worst = worst_utterances(score, measure)
    steps = align(
        [_tokens(u.reference, u.language, measure, "_") for u in worst],
        [_tokens(u.hypothesis, u.language, measure, "_") for u in worst],
    )
    lines += ["", f"The {len(worst)} utterances with most errors:"]
    for utterance, alignment in zip(worst, steps, strict=True):
        errors = _counts(utterance, measure).errors
        lines += ["", f"{utterance.utterance_id} ({errors} errors)", format_alignment(alignment)]
    return "\n".join(lines) + "\n"


def write_score_directories(
    score: Score, parent: str | Path, measures: Sequence[Measure] = MEASURES
) -> None:
    """Write ``score_wer``, ``score_cer``, ... below ``parent``: ref.trn, hyp.trn, result.txt.

    In the trn files of ``score_cer`` a space between words is the token ``<space>``.
    """
    for measure in measures:
        directory = Path(parent) / f"score_{measure}"
        for side in ("reference", "hypothesis"):
            with atomic_write(directory / f"{side[:3]}.trn") as file:
                for u in score.utterances:
                    tokens = _tokens(getattr(u, side), u.language, measure, "<space>")
                    file.write(trn_line(tokens, u.speaker, u.utterance_id) + "\n")
        with atomic_write(directory / "result.txt") as file:
            file.write(format_result(score, measure))
