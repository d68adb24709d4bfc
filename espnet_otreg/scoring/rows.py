"""Score files of one system, gathered over test sets and seeds into one row of a table."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.score import is_mixed, macro, read_score, scored_with
from espnet_otreg.scoring.significance import Floats, bootstrap_rates

Measure = Literal["wer", "cer", "mer"]
MEASURES: tuple[Measure, ...] = ("wer", "cer")  # of every table; the mixed error rate of some
ALL_MEASURES: tuple[Measure, ...] = (*MEASURES, "mer")
SPEAKERS_FOR_RESAMPLING = 20
_SAME_RULES = "score both again with the same --normalizer and --equivalences"
_COUNTED = {"wer": "word", "cer": "character", "mer": "mixed"}


@dataclass(frozen=True, eq=False)
class SetResult:
    """One (language, test set) of a row over all its seeds.

    ``scores`` has the set's entry of each seed's score.json, ``utterances`` those of its
    utterances, by id.
    """

    language: str
    domain: str
    group: str
    unit: str
    test_set: str
    scores: tuple[dict[str, Any], ...]
    utterances: tuple[dict[str, dict[str, Any]], ...]

    @property
    def label(self) -> str:
        """Language and domain, with synthetic speech named as such."""
        return f"{self.language} {self.domain}{synthetic_mark(self.domain)}"

    @property
    def resampled_by(self) -> str:
        """``speaker`` or ``sentence``."""
        return "speaker" if self.scores[0]["speakers"] >= SPEAKERS_FOR_RESAMPLING else "sentence"

    @property
    def is_mixed(self) -> bool:
        """Whether its references mix scripts, as far as its scores say so."""
        mixed = self.scores[0].get("mixed_references", 0)
        return is_mixed(mixed, self.scores[0]["utterances"])

    def rates(self, measure: Measure) -> list[float]:
        """The pooled rate of each seed, in percent."""
        return [float(score[measure]["rate"]) for score in self.scores]

    def rate(self, measure: Measure) -> float:
        """The mean over seeds."""
        return sum(self.rates(measure)) / len(self.scores)

    def errors(self, measure: Measure) -> Floats:
        """(N,) errors by utterance, sorted by id, averaged over seeds."""
        name = _COUNTED[measure]
        return np.mean([[u[name][0] for u in seed.values()] for seed in self.utterances], axis=0)

    def draws(self, measure: Measure) -> Floats:
        """Bootstrap draws of the rate; those of two rows are paired."""
        return _draws(self, measure)


@dataclass(frozen=True, eq=False)
class Row:
    """One system on all its test sets; ``sets`` is sorted by language and domain.

    ``trained_without`` are the digests of the lists of unreadable utterances that its trainings
    left out, as far as its scores say so.
    """

    name: str
    normalizer: str
    seeds: int
    sets: tuple[SetResult, ...]
    trained_without: frozenset[str] = frozenset()

    def group(self, group: str) -> list[SetResult]:
        """The test sets of one of ``espnet_otreg.scoring.score.GROUPS``."""
        return [result for result in self.sets if result.group == group]


@functools.cache
def _draws(result: SetResult, measure: Measure) -> Floats:
    utterances = list(result.utterances[0].values())
    names = [utterance[result.resampled_by] for utterance in utterances]
    _, clusters = np.unique(names, return_inverse=True)
    lengths = np.array([utterance[_COUNTED[measure]][1] for utterance in utterances], float)
    errors = result.errors(measure)[np.newaxis]
    return bootstrap_rates(errors, lengths, clusters, f"{result.language} {result.domain}")[0]


def synthetic_mark(domain: str) -> str:
    """What follows the name of a synthetic test set wherever it stands in a table.

    >>> synthetic_mark("pico_synthetic"), synthetic_mark("drascula")
    (' (synthetic)', '')
    """
    return " (synthetic)" if "synthetic" in domain else ""


def resampling_note(sets: Sequence[SetResult]) -> str:
    """One sentence on what the bootstrap draws, and so on what the intervals cover."""
    by_speaker = [result.label for result in sets if result.resampled_by == "speaker"]
    if len(by_speaker) == len(sets):
        return "Resampled by speaker."
    exception = f" (by speaker: {', '.join(by_speaker)})" if by_speaker else ""
    return f"Resampled by sentence{exception}: how speakers vary is not covered."


def measure_label(sets: Sequence[SetResult], measure: Measure) -> str:
    """``WER``, ``CER``, ``MER`` (mixed), or ``WER/CER`` where languages with and without spaces
    are averaged."""
    if measure == "mer":
        return "MER"
    units = {result.unit for result in sets}
    if measure == "cer" or units == {"character"}:
        return "CER"
    return "WER/CER" if "character" in units else "WER"


def require_measures(asked: Sequence[Measure]) -> None:
    """Check the names of error rates.

    Raises:
        UserError: if one is unknown.

    >>> require_measures(["mre"])
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: unknown error rate 'mre'; did you mean 'mer'?
    """
    if isinstance(asked, str):
        raise UserError(f"expected a list of error rates, found {asked!r}")
    for name in asked:
        if name not in ALL_MEASURES:
            hint = did_you_mean(str(name), ALL_MEASURES)
            raise UserError(f"unknown error rate {name!r}", "", hint)


def chosen_measures(
    sets: Sequence[SetResult], asked: Sequence[Measure] | None = None
) -> tuple[Measure, ...]:
    """The error rates to show: those asked for, else WER and CER, and MER if a set mixes scripts.

    Raises:
        UserError: if a rate is unknown, or if MER is asked for and a set was scored before there
            was any.
    """
    require_measures(asked or [])
    without = [s.label for s in sets if any("mer" not in score for score in s.scores)]
    if asked:
        if "mer" in asked and without:
            raise UserError("it has no mixed error rate", without[0], "score it again")
        return tuple(dict.fromkeys(asked))
    return ALL_MEASURES if not without and any(s.is_mixed for s in sets) else MEASURES


def macro_rate(sets: Sequence[SetResult], measure: Measure) -> float:
    """The macro mean over languages, averaged over seeds."""
    return macro([(result.language, result.rate(measure)) for result in sets])


def macro_rates(sets: Sequence[SetResult], measure: Measure) -> list[float]:
    """The macro mean of each seed."""
    by_seed = zip(*(result.rates(measure) for result in sets), strict=True)
    return [
        macro([(result.language, rate) for result, rate in zip(sets, rates, strict=True)])
        for rates in by_seed
    ]


def micro_rate(sets: Sequence[SetResult], measure: Measure) -> float:
    """Errors pooled over all test sets, averaged over seeds."""
    errors = sum(float(result.errors(measure).sum()) for result in sets)
    return 100.0 * errors / sum(result.scores[0][measure]["reference_length"] for result in sets)


def macro_draws(sets: Sequence[SetResult], measure: Measure) -> Floats:
    """Bootstrap draws of the macro mean; every test set is resampled on its own."""
    return macro([(result.language, result.draws(measure)) for result in sets])


def parse_row(argument: str, name: str = "") -> Row:
    """A row from ``NAME=PATH[,PATH...]``, as the command lines take it.

    Args:
        argument: the name may be left out if ``name`` is given.

    Raises:
        UserError: if there is no name, or as :func:`load_row`.
    """
    before, equals, after = argument.partition("=")
    if not equals and not name:
        raise UserError("a row without a name", argument, "write NAME=PATH[,PATH...]")
    given, paths = (before, after) if equals else (name, argument)
    return load_row(given, [path for path in paths.split(",") if path])


def load_row(name: str, paths: Sequence[str | Path]) -> Row:
    """Gather score files: those of the same test set are seeds, in the order given.

    Raises:
        UserError: if a file is given twice, normalisers differ, test sets overlap, or one test
            set has more seeds than another.
    """
    files = {Path(path): read_score(path) for path in paths}
    if not files:
        raise UserError("no score file", name, "give NAME=score.json[,score.json...]")
    if len(files) < len(paths):
        raise UserError("a score file is given twice", name, "name each once")
    first = next(iter(files))
    by_test_set: dict[str, list[dict[str, Any]]] = {}
    for path, score in files.items():
        if _compared_by(score) != _compared_by(files[first]):
            raise UserError(
                f"normalizer {_compared_by(score)}, but {first} has {_compared_by(files[first])}",
                str(path),
                _SAME_RULES,
            )
        by_test_set.setdefault(score["test_set"], []).append(score)
    counts = {len(scores) for scores in by_test_set.values()}
    if len(counts) > 1:
        raise UserError(
            f"its test sets have {' and '.join(map(str, sorted(counts)))} score files",
            name,
            "give as many seeds of each",
        )
    sets = [result for scores in by_test_set.values() for result in _set_results(scores)]
    sets.sort(key=lambda result: (result.language, result.domain))
    for one, other in zip(sets, sets[1:], strict=False):
        if (one.language, one.domain) == (other.language, other.domain):
            raise UserError(
                f"{one.label} is in two different lists of utterances", name, "keep one of them"
            )
    lists = [score.get("trained_without") for score in files.values()]
    without = frozenset(found for found in lists if found is not None)
    return Row(name, _compared_by(files[first]), counts.pop(), tuple(sets), without)


def _compared_by(score: dict[str, Any]) -> str:
    return scored_with(score["normalizer"], score.get("equivalences"))


def _set_results(scores: Sequence[dict[str, Any]]) -> list[SetResult]:
    """The test sets of score files with the same fingerprint."""
    results = []
    for entries in zip(*(score["sets"] for score in scores), strict=True):
        language, domain = entries[0]["language"], entries[0]["domain"]
        utterances = tuple(
            {
                key: utterance
                for key, utterance in score["utterances"].items()
                if (utterance["language"], utterance["domain"]) == (language, domain)
            }
            for score in scores
        )
        results.append(
            SetResult(
                language=language,
                domain=domain,
                group=entries[0]["group"],
                unit=entries[0]["unit"],
                test_set=scores[0]["test_set"],
                scores=tuple(entries),
                utterances=utterances,
            )
        )
    return results


def check_comparable(rows: Sequence[Row]) -> None:
    """Refuse rows whose numbers do not belong side by side.

    Raises:
        UserError: if normalisers differ, or if a test set has not the same utterances, reference
            texts and group in all rows.
    """
    seen: dict[tuple[str, str], tuple[SetResult, str]] = {}
    for row in rows:
        if row.normalizer != rows[0].normalizer:
            raise UserError(
                f"'{row.name}' was scored with {row.normalizer}, "
                f"'{rows[0].name}' with {rows[0].normalizer}",
                mend=_SAME_RULES,
            )
        for result in row.sets:
            key = (result.language, result.domain)
            other, name = seen.setdefault(key, (result, row.name))
            if other.group != result.group:
                raise UserError(
                    f"{result.label} counts as {result.group.replace('_', '-')} for '{row.name}' "
                    f"and as {other.group.replace('_', '-')} for '{name}'",
                    mend="score both again with the same --in_domain",
                )
            if other.test_set != result.test_set:
                raise UserError(
                    f"'{row.name}' and '{name}' were scored on different lists of {result.label} "
                    f"({result.test_set[:8]} and {other.test_set[:8]})",
                    mend="decode and score both on the same data directory",
                )


def check_same_training_data(a: Row, b: Row) -> None:
    """Refuse to compare systems that were trained on other utterances of one set.

    Raises:
        UserError: if ``--skip_unreadable`` has left out others for one than for the other.
    """
    if a.trained_without and b.trained_without and a.trained_without != b.trained_without:
        raise UserError(
            f"'{a.name}' and '{b.name}' were trained without different lists of unreadable "
            "recordings",
            mend="train both on the same data directory, or mend its recordings",
        )
