"""Choosing among transcripts that CTC and the LLM have both scored."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from espnet_otreg.decoding.hypothesis import Candidate, Hypothesis
from espnet_otreg.errors import UserError
from espnet_otreg.ranges import Range, require_in_range
from espnet_otreg.scoring.error_rate import count_errors
from espnet_otreg.scoring.normalize import SCORING_SCHEME, normalize, split_units

WEIGHT_RANGES = {
    "weight": Range(0, 1),
    "length_bonus": Range(-1000, 1000),
    "prior_weight": Range(-1000, 1000),
}


@dataclass(frozen=True)
class Grid:
    """The weights that a development set chooses from, each in ascending order.

    >>> Grid((0.5, 1.0), (0.0,), (0.0, 2.0)).edges(JointWeights(1.0, 2.0))
    ['length_bonus = 2']
    """

    weights: tuple[float, ...]
    priors: tuple[float, ...]
    bonuses: tuple[float, ...]

    def edges(self, chosen: JointWeights) -> list[str]:
        """Weights at an end of the grid beyond which there might be better ones.

        A weight of the LLM cannot be less than 0 or more than 1.
        """
        found = []
        for name, values in (("prior_weight", self.priors), ("length_bonus", self.bonuses)):
            value = getattr(chosen, name)
            if len(values) > 1 and value in (values[0], values[-1]):
                found.append(f"{name} = {value:g}")
        return found


JOINT_GRID = Grid(
    weights=tuple(n / 20 for n in range(21)),
    priors=tuple(n / 10 for n in range(-3, 11)),
    bonuses=tuple(n / 2 for n in range(-4, 17)),
)

NGRAM_GRID = Grid(
    weights=(0.0,),
    priors=tuple(n / 10 for n in range(26)),
    bonuses=tuple(n / 2 for n in range(-4, 25)),
)


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

    def score(self, candidate: Candidate) -> float:
        """The joint score of a transcript."""
        return self.combine(candidate.ctc, candidate.llm, candidate.prior, candidate.tokens)

    def combine(self, ctc: Any, llm: Any, prior: Any, tokens: int) -> Any:
        """The same of its parts: numbers, or tensors with those of several transcripts."""
        reading = (1 - self.weight) * ctc + self.weight * llm + self.prior_weight * prior
        return reading + self.length_bonus * tokens


SEARCH_WEIGHTS = JointWeights(0.5, 0.5)  # until a development set has chosen


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
    """Weights with the macro error rate they give on the development set, and the grid.

    Attributes:
        weights: the best ones.
        error_rate: with them.
        oracle: if the best candidate of each utterance were chosen.
        grid: all weights with their error rates.
        edges: which of the weights lie at an end of the grid.
    """

    weights: JointWeights
    error_rate: float
    oracle: float
    grid: tuple[tuple[JointWeights, float], ...]
    edges: tuple[str, ...] = ()

    def to_json(self, chosen_on: str) -> dict[str, Any]:
        """As written to a file: the best of every weight of the LLM is kept of the grid."""
        best: dict[float, tuple[JointWeights, float]] = {}
        for weights, rate in self.grid:
            if weights.weight not in best or rate < best[weights.weight][1]:
                best[weights.weight] = (weights, rate)
        return {
            **asdict(self.weights),
            "chosen_on": chosen_on,
            "macro_error_rate": round(self.error_rate, 4),
            "oracle_error_rate": round(self.oracle, 4),
            "grid": [
                {**asdict(weights), "macro_error_rate": round(rate, 4)}
                for weights, rate in best.values()
            ],
        }


def candidate_errors(
    candidates: Mapping[str, Sequence[Candidate]],
    references: Mapping[str, str],
    languages: Mapping[str, str],
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Word errors (character errors where no spaces are written) of every candidate.

    Args:
        candidates: of every utterance.
        references, languages: of the same utterances.

    Returns:
        By utterance the errors of its candidates, and the length of its reference; without those
        whose reference is empty.

    >>> candidate_errors({"u": [Candidate("uno tre", 2, -1.0, -9.0)]}, {"u": "uno"}, {"u": "it"})
    ({'u': [1]}, {'u': 1})
    """
    flat: list[tuple[str, list[str], list[str]]] = []
    for key, several in candidates.items():
        language = languages[key]
        reference = split_units(normalize(references[key], language, SCORING_SCHEME), language)
        if reference:
            for candidate in several:
                text = split_units(normalize(candidate.text, language, SCORING_SCHEME), language)
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
    grid: Grid = JOINT_GRID,
) -> Tuned:
    """The weights with the lowest error rate, macro-averaged over languages.

    Ties go to the weight of the prior nearest to 0, then to the length bonus nearest to 0, then to
    the weight nearest to one half.

    Args:
        candidates: of every utterance of the development set.
        references, languages: of the same utterances.
        grid: what is tried.

    Raises:
        UserError: if no reference has a word.

    >>> several = {"u": [Candidate("uno", 1, -1.0, -9.0), Candidate("due", 1, -2.0, -3.0)]}
    >>> tune(several, {"u": "due"}, {"u": "it"}).weights
    JointWeights(weight=0.5, length_bonus=0.0, prior_weight=0.0)
    """
    import numpy as np

    errors, lengths = candidate_errors(candidates, references, languages)
    if not errors:
        raise UserError(
            "no reference of the development set has a word",
            mend="choose another --weights_dev",
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

    def macro(made: Any) -> float:
        rates = [made[names == n].sum() / words[names == n].sum() for n in sorted(set(names))]
        return 100.0 * float(np.mean(rates))

    tried = []
    for weight, extra in itertools.product(grid.weights, grid.priors):
        # A weight of 1 must not turn the filler's -inf into "not a number".
        reading = np.where(np.isinf(ctc), ctc, (1 - weight) * np.maximum(ctc, -1e9) + weight * llm)
        reading += extra * prior
        for bonus in grid.bonuses:
            chosen = (reading + bonus * tokens).argmax(axis=1)
            made = wrong[np.arange(len(wrong)), chosen]
            tried.append((JointWeights(weight, bonus, extra), macro(made)))
    fewest = np.where(np.isinf(ctc), np.inf, wrong).min(axis=1)
    best, rate = min(tried, key=_preference)
    return Tuned(best, rate, macro(fewest), tuple(tried), tuple(grid.edges(best)))


def _preference(row: tuple[JointWeights, float]) -> tuple[float, ...]:
    weights, rate = row
    bonus, weight = weights.length_bonus, weights.weight
    prior = weights.prior_weight
    return (rate, abs(prior), abs(bonus), abs(weight - 0.5), prior, weight, bonus)
