"""Counts of errors, against kaldialign and NIST's sclite."""

from __future__ import annotations

from collections.abc import Callable

import kaldialign
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_otreg.scoring.error_rate import ErrorCounts, align, count_errors, pool

LANGUAGES = ("en", "hi", "ru", "fr", "th", "zh")
tokens = st.lists(st.sampled_from(["प्रा", "ก", "你", "ё", "é", " "]), max_size=8)


@given(st.lists(st.tuples(tokens.filter(len), tokens), min_size=1, max_size=5))
def test_totals_equal_kaldialign(pairs: list[tuple[list[str], list[str]]]) -> None:
    references, hypotheses = zip(*pairs, strict=True)
    for counts, reference, hypothesis in zip(
        count_errors(references, hypotheses), references, hypotheses, strict=True
    ):
        assert counts.errors == kaldialign.edit_distance(reference, hypothesis)["total"]
        assert counts.reference_length == len(reference)


@given(tokens.filter(len), tokens)
def test_an_alignment_spells_both_sides(reference: list[str], hypothesis: list[str]) -> None:
    steps = align([reference], [hypothesis])[0]
    assert [s.reference for s in steps if s.kind != "insert"] == reference
    assert [s.hypothesis for s in steps if s.kind != "delete"] == hypothesis
    assert all((s.kind == "equal") == (s.reference == s.hypothesis) for s in steps)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sclite_counts_the_same_words_and_errors(
    language: str, make_corpus: Callable, sclite_sum: Callable
) -> None:
    references, hypotheses = make_corpus(language).pairs()
    ours = pool(count_errors(references, hypotheses))
    words, *_, errors = sclite_sum(references, hypotheses)
    assert ours.reference_length == words
    # sclite weighs a substitution 4 and the others 3, so its alignments are not always shortest.
    assert 0 <= errors - ours.errors <= 0.02 * words


@pytest.mark.parametrize("language", LANGUAGES)
def test_sclite_finds_the_same_substitutions_deletions_insertions(
    language: str, make_corpus: Callable, sclite_sum: Callable
) -> None:
    """Errors of one kind in an utterance leave no choice of alignment."""
    references = make_corpus(language).pairs()[0]
    hypotheses = [
        [words[:-1], [*words, "q"], ["q", *words[1:]], words][n % 4]
        for n, words in enumerate(references)
    ]
    counts = pool(count_errors(references, hypotheses))
    words, *edits, errors = sclite_sum(references, hypotheses)
    assert edits == [counts.hits, counts.substitutions, counts.deletions, counts.insertions]
    assert (words, errors) == (counts.reference_length, counts.errors)


def test_an_empty_hypothesis_is_all_deletions() -> None:
    assert count_errors([["a", "b"]], [[]]) == [ErrorCounts(deletions=2)]


def test_unequal_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="1 references, but 0 hypotheses"):
        count_errors([["a"]], [])
