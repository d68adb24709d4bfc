"""Choosing among transcripts that CTC and the LLM have both scored."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from espnet_otreg.data.languages import language_or_default
from espnet_otreg.decoding.hypothesis import Candidate, Hypothesis
from espnet_otreg.errors import UserError
from espnet_otreg.ranges import Range, require_in_range
from espnet_otreg.scoring.error_rate import count_errors
from espnet_otreg.scoring.normalize import (
    SCORING_SCHEME,
    SPACELESS_LANGUAGES,
    normalize,
    split_characters,
    split_words,
)

WEIGHT_RANGES = {
    "weight": Range(0, 1),
    "length_bonus": Range(-1000, 1000),
    "prior_weight": Range(-1000, 1000),
}
# The grid that the development set chooses from.
WEIGHTS = tuple(n / 20 for n in range(21))
PRIORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
BONUSES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class JointWeights:
    """score = (1 - weight) * ctc + weight * llm + prior_weight * prior + length_bonus * tokens.

    Raises:
        ConfigErrors: with every weight that is outside its range (``weight`` from 0 to 1).

    >>> JointWeights(0.5, 1.0).score(Candidate("si", tokens=2, ctc=-3.0, llm=-5.0))
    -2.0
    """

    weight: float = 0.5
    length_bonus: float = 0.0
    prior_weight: float = 0.0

    def __post_init__(self) -> None:
        require_in_range(vars(self), WEIGHT_RANGES)

    def as_options(self) -> dict[str, float]:
        """The options of mode joint that give these weights.

        >>> JointWeights(0.3).as_options()
        {'joint_weight': 0.3, 'length_bonus': 0.0, 'prior_weight': 0.0}
        """
        return {
            "joint_weight": self.weight,
            "length_bonus": self.length_bonus,
            "prior_weight": self.prior_weight,
        }

    def score(self, candidate: Candidate) -> float:
        """The joint score of a transcript."""
        reading = (1 - self.weight) * candidate.ctc + self.weight * candidate.llm
        reading += self.prior_weight * candidate.prior
        return reading + self.length_bonus * candidate.tokens


def ranked(candidates: Sequence[Candidate], weights: JointWeights) -> list[Hypothesis]:
    """The candidates as hypotheses, best first; ties go to the alphabet.

    >>> several = [Candidate("a", 1, -1.0, -9.0), Candidate("b", 1, -2.0, -3.0)]
    >>> [h.text for h in ranked(several, JointWeights(0.5))]
    ['b', 'a']
    """
    hypotheses = [Hypothesis(c.text, weights.score(c), c.hit_limit) for c in candidates]
    return sorted(hypotheses, key=lambda h: (-h.score, h.text))


@dataclass(frozen=True)
class Tuned:
    """Weights with the macro error rate they give on the development set, and the grid."""

    weights: JointWeights
    error_rate: float
    grid: tuple[tuple[JointWeights, float], ...]  # with the error rates

    def to_json(self, chosen_on: str) -> dict[str, Any]:
        """As written to ``joint.json``: the best of every weight of the LLM is kept of the grid."""
        best: dict[float, tuple[JointWeights, float]] = {}
        for weights, rate in self.grid:
            if weights.weight not in best or rate < best[weights.weight][1]:
                best[weights.weight] = (weights, rate)
        return {
            **asdict(self.weights),
            "chosen_on": chosen_on,
            "macro_error_rate": round(self.error_rate, 4),
            "grid": [
                {**asdict(weights), "macro_error_rate": round(rate, 4)}
                for weights, rate in best.values()
            ],
        }


def _errors(
    candidates: Mapping[str, Sequence[Candidate]],
    references: Mapping[str, str],
    languages: Mapping[str, str],
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Word errors (character errors where no spaces are written) of every candidate."""
    flat: list[tuple[str, list[str], list[str]]] = []
    for key, several in candidates.items():
        language = languages[key]
        spaceless = language_or_default(language) in SPACELESS_LANGUAGES
        split = split_characters if spaceless else split_words
        reference = split(normalize(references[key], language, SCORING_SCHEME), language)
        if reference:
            for candidate in several:
                text = split(normalize(candidate.text, language, SCORING_SCHEME), language)
                flat.append((key, reference, text))
    counts = count_errors([r for _, r, _ in flat], [h for _, _, h in flat])
    errors: dict[str, list[int]] = {}
    lengths: dict[str, int] = {}
    for (key, reference, _), count in zip(flat, counts, strict=True):
        errors.setdefault(key, []).append(count.errors)
        lengths[key] = len(reference)
    return errors, lengths


def tune(
    candidates: Mapping[str, Sequence[Candidate]],
    references: Mapping[str, str],
    languages: Mapping[str, str],
    weights: Sequence[float] = WEIGHTS,
    bonuses: Sequence[float] = BONUSES,
    priors: Sequence[float] = PRIORS,
) -> Tuned:
    """The weights with the lowest error rate, macro-averaged over languages.

    Ties go to the smaller weight of the prior, then to the smaller length bonus, then to the
    weight nearest to one half.

    Args:
        candidates: of every utterance of the development set.
        references, languages: of the same utterances.
        weights, bonuses, priors: the grid.

    Raises:
        UserError: if no reference has a word.

    >>> several = {"u": [Candidate("uno", 1, -1.0, -9.0), Candidate("due", 1, -2.0, -3.0)]}
    >>> tune(several, {"u": "due"}, {"u": "it"}).weights
    JointWeights(weight=0.5, length_bonus=0.0, prior_weight=0.0)
    """
    import numpy as np

    errors, lengths = _errors(candidates, references, languages)
    if not errors:
        raise UserError(
            "no reference of the development set has a word",
            mend="choose another --joint_weight_dev, or give --joint_weight",
        )
    width = max(map(len, errors.values()))

    def table(rows: list[list[float]], filler: float) -> Any:
        return np.array([row + [filler] * (width - len(row)) for row in rows])

    scored = [sorted(zip(candidates[k], errors[k], strict=True), key=lambda p: p[0].text)
              for k in errors]  # fmt: skip
    ctc = table([[c.ctc for c, _ in row] for row in scored], -np.inf)
    llm = table([[c.llm for c, _ in row] for row in scored], 0.0)
    prior = table([[c.prior for c, _ in row] for row in scored], 0.0)
    tokens = table([[c.tokens for c, _ in row] for row in scored], 0.0)
    wrong = table([[e for _, e in row] for row in scored], 0.0)
    names = np.array([languages[key] for key in errors])
    words = np.array([lengths[key] for key in errors])
    grid = []
    for weight, extra in itertools.product(weights, priors):
        # A weight of 1 must not turn the filler's -inf into "not a number".
        reading = np.where(np.isinf(ctc), ctc, (1 - weight) * np.maximum(ctc, -1e9) + weight * llm)
        reading += extra * prior
        for bonus in bonuses:
            chosen = (reading + bonus * tokens).argmax(axis=1)
            made = wrong[np.arange(len(wrong)), chosen]
            rates = [made[names == n].sum() / words[names == n].sum() for n in sorted(set(names))]
            grid.append((JointWeights(weight, bonus, extra), 100.0 * float(np.mean(rates))))
    best = min(grid, key=_preference)
    return Tuned(*best, tuple(grid))


def _preference(row: tuple[JointWeights, float]) -> tuple[float, ...]:
    weights, rate = row
    bonus, weight = weights.length_bonus, weights.weight
    return (rate, weights.prior_weight, abs(bonus), abs(weight - 0.5), weight, bonus)
