"""Joint scores: candidates of both readers, and weights that the development set chooses."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch

from espnet_otreg.decoding.candidates import propose, score_by_ctc
from espnet_otreg.decoding.ctc import ctc_log_probs
from espnet_otreg.decoding.hypothesis import Candidate, Generated
from espnet_otreg.decoding.joint import Grid, JointWeights, ranked, tune
from espnet_otreg.decoding.tokens import UNKNOWN_TOKEN, TokenMaps

WORDS = ("uno", "due", "tre", "quattro")
GRID = Grid((0.0, 0.15, 0.5, 0.8, 1.0), (-0.2, 0.0, 0.3), (-1.0, 0.0, 0.5, 2.0))


def _development_set(seed: int) -> tuple[dict[str, list[Candidate]], dict[str, str]]:
    draw = random.Random(seed)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 4)))

    references = {f"u{n}": sentence() for n in range(20)}
    candidates = {
        key: [
            Candidate(text, len(text.split()), *(draw.uniform(-20, 0) for _ in range(3)))
            for text in {reference, sentence(), sentence(), ""}
        ]
        for key, reference in references.items()
    }
    return candidates, references


def _errors(reference: str, hypothesis: str) -> int:
    """Levenshtein distance of words, by its definition."""
    a, b = reference.split(), hypothesis.split()
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


@pytest.mark.parametrize("seed", range(3))
def test_tuned_weights_are_the_best_of_the_grid(seed: int) -> None:
    candidates, references = _development_set(seed)
    languages = {key: ("it", "en")[n % 2] for n, key in enumerate(sorted(references))}

    def macro(weights: JointWeights) -> float:
        rates = []
        for language in ("en", "it"):
            keys = [key for key in references if languages[key] == language]
            wrong = sum(
                _errors(references[k], ranked(candidates[k], weights)[0].text) for k in keys
            )
            rates.append(100 * wrong / sum(len(references[k].split()) for k in keys))
        return sum(rates) / 2

    tuned = tune(candidates, references, languages, GRID)
    points = itertools.product(GRID.weights, GRID.bonuses, GRID.priors)
    grid = [JointWeights(*point) for point in points]
    everything = {weights: macro(weights) for weights in grid}
    assert tuned.error_rate == pytest.approx(min(everything.values()))
    assert macro(tuned.weights) == pytest.approx(tuned.error_rate)
    assert {weights for weights, _ in tuned.grid} == everything.keys()
    for weights, rate in tuned.grid:
        assert rate == pytest.approx(everything[weights])
    best = {
        key: min(_errors(references[key], candidate.text) for candidate in several)
        for key, several in candidates.items()
    }
    assert tuned.oracle == pytest.approx(
        50 * sum(
            sum(best[k] for k in keys) / sum(len(references[k].split()) for k in keys)
            for keys in ([k for k in best if languages[k] == name] for name in ("en", "it"))
        )
    )  # fmt: skip
    written = tuned.to_json("dev")
    assert [row["weight"] for row in written["grid"]] == list(GRID.weights)
    assert written["chosen_on"] == "dev"


def test_ends_of_the_grid_are_each_reader_alone() -> None:
    several = [Candidate("a", 1, -1e4, -1.0), Candidate("b", 1, -2.0, -9.0)]
    assert ranked(several, JointWeights(0.0))[0].text == "b"
    assert ranked(several, JointWeights(1.0))[0].text == "a"


def test_the_prior_is_added_to_what_was_heard() -> None:
    several = [Candidate("a", 1, -2.0, -2.0, -9.0), Candidate("b", 1, -3.0, -3.0, -1.0)]
    assert ranked(several, JointWeights(0.5))[0].text == "a"
    assert ranked(several, JointWeights(0.5, prior_weight=0.2))[0].text == "b"


def test_candidates_come_from_both_and_ctc_scores_their_likeliest_spelling(
    tiny_model: Any,
) -> None:
    maps = TokenMaps(tiny_model)
    torch.manual_seed(0)
    log_probs = (2 * torch.randn(12, len(maps.readout.class_ids))).log_softmax(-1)
    said = Generated(maps.canonical("premere uno"), False)
    spellings = propose(log_probs, [said], maps, beam=6, n_best=4)
    assert "premere uno" in spellings
    assert 2 <= len(spellings) <= 5
    assert all(maps.canonical(text) in found for text, found in spellings.items())
    scores = score_by_ctc(log_probs, spellings, maps)
    for text, found in spellings.items():
        each = [ctc_log_probs(log_probs, [maps.classes_of(tokens)])[0] for tokens in found]
        assert scores[text] == pytest.approx(max(each), abs=1e-4)


def test_a_token_without_class_is_rare_but_not_impossible(tiny_model: Any) -> None:
    maps = TokenMaps(tiny_model)
    log_probs = torch.zeros(9, len(maps.readout.class_ids)).log_softmax(-1)
    known = maps.canonical("uno")
    unknown = (*known, tiny_model.llm.tokenizer.eos_token_id)
    both = score_by_ctc(log_probs, {"uno": {known}, "uno!": {unknown}}, maps)
    assert both["uno!"] == pytest.approx(both["uno"] + UNKNOWN_TOKEN)
