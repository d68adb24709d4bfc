"""Intervals and tests, against kaldialign, NIST's sc_stats and known answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import kaldialign
import numpy as np
import pytest

from espnet_otreg.errors import UserError
from espnet_otreg.scoring.error_rate import count_errors
from espnet_otreg.scoring.significance import (
    bootstrap_p,
    bootstrap_rates,
    holm,
    matched_pairs,
    percentile_interval,
    smallest_detectable,
)


def errors_of(references: list[list[str]], hypotheses: list[list[str]]) -> np.ndarray:
    return np.array([counts.errors for counts in count_errors(references, hypotheses)], float)


@pytest.mark.parametrize("language", ["en", "hi", "ru", "th", "zh"])
def test_intervals_equal_kaldialign(language: str, make_corpus: Callable) -> None:
    references, hypotheses = make_corpus(language, 200).pairs()
    errors = errors_of(references, hypotheses)
    lengths = np.array([len(words) for words in references], float)
    draws = bootstrap_rates(errors[None], lengths, np.arange(200), language)[0]
    low, high = percentile_interval(draws)
    other = kaldialign.bootstrap_wer_ci(references, hypotheses)
    # kaldialign takes 1.96 standard deviations around the mean of the draws.
    assert 100 * other["wer"] == pytest.approx(draws.mean(), abs=0.15)
    assert 100 * other["ci95min"] == pytest.approx(low, abs=0.5)
    assert 100 * other["ci95max"] == pytest.approx(high, abs=0.5)


def test_the_probability_of_improvement_equals_kaldialign(make_corpus: Callable) -> None:
    one, two = make_corpus("ru", 200, 0.42, seed=1), make_corpus("ru", 200, 0.40, seed=2)
    references = list(one.references.values())
    both = np.stack([errors_of(*one.pairs()), errors_of(*two.pairs())])
    lengths = np.array([len(words) for words in references], float)
    draws = bootstrap_rates(both, lengths, np.arange(200), "ru")
    other = kaldialign.bootstrap_wer_ci(references, one.pairs()[1], two.pairs()[1])
    improved = float(np.mean(draws[1] < draws[0]))
    assert improved == pytest.approx(other["p_s2_improv_over_s1"], abs=0.02)


def test_matched_pairs_equals_mapsswe_where_an_utterance_is_a_segment(
    sctk: Callable, tmp_path: Path
) -> None:
    """Utterances of three words, each with an error in one system or both, are one segment each."""
    random = np.random.default_rng(3)
    references, systems = [], ([], [])
    for n in range(60):
        words = [f"a{n}", f"b{n}", f"c{n}"]
        references.append(words)
        wrong = [random.integers(0, 4), random.integers(0, 3)]
        wrong[0] = 1 if sum(wrong) == 0 else wrong[0]
        for system, count in zip(systems, wrong, strict=True):
            system.append([*(f"x{word}" for word in words[:count]), *words[count:]])
    (tmp_path / "ref").write_text(_trn(references))
    alignments = ""
    for name, system in zip(("one", "two"), systems, strict=True):
        (tmp_path / name).write_text(_trn(system))
        alignments += sctk(
            "sclite", *("-r", str(tmp_path / "ref"), "trn", "-h", str(tmp_path / name), "trn"),
            *(name, "-i", "rm", "-o", "sgml", "stdout"),
        )  # fmt: skip
    report = sctk("sc_stats", "-p", "-t", "mapsswe", "-v", "-u", "-n", "-", stdin=alignments)
    found = re.search(r"MP\s+\|\|\s+one\s+\|\s+\|\s+\S+\s+(<?[0-9.]+)", report)
    assert found is not None, report
    differences = errors_of(references, systems[1]) - errors_of(references, systems[0])
    assert matched_pairs(differences)[1] == pytest.approx(float(found[1].strip("<")), abs=0.0011)


def _trn(texts: list[list[str]]) -> str:
    return "".join(f"{' '.join(words)} (s-{n:03d})\n" for n, words in enumerate(texts))


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    lengths = np.full(100, 10.0)
    covered = 0
    for trial in range(200):
        errors = random.binomial(10, 0.3, (1, 100)).astype(float)
        draws = bootstrap_rates(errors, lengths, np.arange(100), str(trial), replications=500)
        low, high = percentile_interval(draws[0])
        covered += low <= 30.0 <= high
    assert 0.90 <= covered / 200 <= 0.985


def test_speakers_that_differ_widen_the_interval() -> None:
    """Resampling sentences of speakers who differ promises too much."""
    speakers = np.repeat(np.arange(20), 10)
    errors = np.where(speakers % 2, 8.0, 2.0)[None]
    lengths = np.full(200, 10.0)
    by_speaker = percentile_interval(bootstrap_rates(errors, lengths, speakers, "x")[0])
    by_sentence = percentile_interval(bootstrap_rates(errors, lengths, np.arange(200), "x")[0])
    assert np.diff(by_speaker) > 2 * np.diff(by_sentence)


def test_draws_of_two_calls_are_paired_and_reproducible() -> None:
    lengths, clusters = np.arange(1.0, 31.0), np.arange(30)
    errors = np.arange(30.0)[None]
    one = bootstrap_rates(errors, lengths, clusters, "en x")
    two = bootstrap_rates(errors + lengths, lengths, clusters, "en x")
    np.testing.assert_allclose(two - one, 100.0)
    assert not np.allclose(one, bootstrap_rates(errors, lengths, clusters, "en y"))


def test_a_large_set_is_drawn_in_parts_like_a_small_one() -> None:
    lengths = np.ones(9000)
    draws = bootstrap_rates(lengths[None] / 2, lengths, np.arange(9000), "x", replications=1000)
    assert draws.shape == (1, 1000) and np.all(draws == 50.0)


def test_p_values_are_uniform_without_a_difference() -> None:
    random = np.random.default_rng(1)
    lengths, clusters = np.full(80, 10.0), np.arange(80)
    small = 0
    for trial in range(200):
        both = random.binomial(10, 0.3, (2, 80)).astype(float)
        one, two = bootstrap_rates(both, lengths, clusters, str(trial), replications=500)
        small += bootstrap_p(two - one) < 0.05
    assert 0.01 <= small / 200 <= 0.11


def test_the_smallest_detectable_difference_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(2)
    lengths, clusters = np.full(100, 10.0), np.arange(100)

    def draws(shift: float, trial: int) -> np.ndarray:
        one = random.normal(3.0, 1.0, 100)
        two = random.normal(3.0 + shift, 1.0, 100)
        rates = bootstrap_rates(np.stack([one, two]), lengths, clusters, str(trial), 500)
        return np.asarray(rates[1] - rates[0])

    points = np.mean([smallest_detectable(draws(0.0, n)) for n in range(50)])
    assert points == pytest.approx(2.8 * 10 * (2 / 100) ** 0.5, rel=0.05)
    found = sum(bootstrap_p(draws(points / 10.0, n)) < 0.05 for n in range(300)) / 300
    assert 0.72 <= found <= 0.87


def test_matched_pairs_at_its_edges() -> None:
    assert matched_pairs(np.zeros(5)) == (0.0, 1.0)
    assert matched_pairs(np.ones(5)) == (math.inf, 0.0)
    assert matched_pairs(np.ones(1)) == (0.0, 1.0)
    # Mean 1, and 2/3 the variance of the sample, which is divided by three, not by four.
    assert matched_pairs(np.array([1.0, 0.0, 1.0, 2.0]))[0] == pytest.approx(math.sqrt(6.0))


def test_numbers_that_are_none_are_refused() -> None:
    lengths, clusters = np.ones(3), np.arange(3)
    for wrong in (0, -1, 1.5, math.nan, None, "9", 10**9):
        with pytest.raises(UserError, match="replications: expected a whole number from 1 to"):
            bootstrap_rates(lengths[None], lengths, clusters, "x", wrong)  # type: ignore[arg-type]
    for wrong in (-1, 0.5, None):
        with pytest.raises(UserError, match="seed: expected a whole number from 0 to"):
            bootstrap_rates(lengths[None], lengths, clusters, "x", 9, wrong)  # type: ignore[arg-type]
    for wrong in (-0.1, 95, math.nan, "0.95"):
        with pytest.raises(UserError, match="level: expected a number from 0 to 1"):
            percentile_interval(lengths, wrong)  # type: ignore[arg-type]
    for errors, counted in ((lengths * math.nan, lengths), (lengths, lengths * 0)):
        with pytest.raises(UserError, match="test set 'x'"):
            bootstrap_rates(errors[None], counted, clusters, "x", 9)


def test_holm_keeps_order_and_bounds() -> None:
    assert holm([]) == []
    assert holm([0.8, 0.9]) == [1.0, 1.0]
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
