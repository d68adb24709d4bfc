"""The score of one hypothesis file: counts per (language, test set), means, score.json."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json
from espnet_otreg.scoring.error_rate import ErrorCounts, pool
from espnet_otreg.scoring.quality import QualityCounts

Mean = TypeVar("Mean")

FORMAT = "otreg-score-1"
MIXED_SHARE = 0.1
GROUPS = ("in_domain", "out_of_domain", "synthetic", "beside")


@dataclasses.dataclass(frozen=True)
class ScoredUtterance:
    """Normalised texts and errors of one utterance; ``word`` counts characters in languages
    without spaces, ``mixed`` characters of scripts without spaces and words of others,
    ``word_unaccented`` is there for Spanish only."""

    utterance_id: str
    language: str
    domain: str
    speaker: str
    reference: str
    hypothesis: str
    word: ErrorCounts
    character: ErrorCounts
    mixed: ErrorCounts
    word_unaccented: ErrorCounts | None = None


@dataclasses.dataclass(frozen=True)
class SetScore:
    """Pooled errors of one (language, test set).

    ``unit`` is what ``wer`` counts: words, or characters in languages without spaces. ``mer`` is
    the mixed error rate, ``mixed_references`` the number of references in two kinds of scripts.
    """

    language: str
    domain: str
    group: str
    unit: str
    utterances: int
    empty_references: int
    speakers: int
    wer: ErrorCounts
    cer: ErrorCounts
    mer: ErrorCounts
    mixed_references: int
    wer_unaccented: ErrorCounts | None
    quality: QualityCounts


@dataclasses.dataclass(frozen=True)
class Score:
    """All that one hypothesis file scored; see :meth:`write` for its file.

    ``equivalences`` says which file of a user's was applied and how often its entries were.
    ``trained_without`` is the digest of the list of utterances that the training of the model left
    out because they could not be read, ``""`` without such a list, None if nothing is known.
    """

    normalizer: str
    test_set: str
    sets: tuple[SetScore, ...]
    utterances: tuple[ScoredUtterance, ...]
    equivalences: dict[str, Any] | None = None
    trained_without: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of score.json."""
        return {
            "format": FORMAT,
            "normalizer": self.normalizer,
            "equivalences": self.equivalences,
            "test_set": self.test_set,
            "trained_without": self.trained_without,
            "sets": [_counts_to_json(set_score) for set_score in self.sets],
            "summary": {group: summary for group in GROUPS if (summary := summarize(self, group))},
            "utterances": {
                utterance.utterance_id: {
                    "language": utterance.language,
                    "domain": utterance.domain,
                    "speaker": utterance.speaker,
                    "sentence": sentence_key(utterance.reference),
                    "word": [utterance.word.errors, utterance.word.reference_length],
                    "character": [utterance.character.errors, utterance.character.reference_length],
                    "mixed": [utterance.mixed.errors, utterance.mixed.reference_length],
                }
                for utterance in self.utterances
            },
        }

    def write(self, path: str | Path) -> None:
        """Write score.json."""
        write_json(path, self.to_json())


def _counts_to_json(set_score: SetScore) -> dict[str, Any]:
    value = dataclasses.asdict(set_score)
    for name in ("wer", "cer", "mer", "wer_unaccented"):
        counts = getattr(set_score, name)
        value[name] = counts.to_json() if counts else None
    return value


def sentence_key(reference: str) -> str:
    """A short name of a normalised reference: equal sentences are resampled together.

    >>> sentence_key("press one")
    '4301199449ae'
    """
    return hashlib.sha256(reference.encode()).hexdigest()[:12]


def group_of(domain: str, in_domain: Sequence[str], beside: Sequence[str] = ()) -> str:
    """Which mean a test set counts in: synthetic speech never mixes with real recordings, and what
    stands beside them with none of both.

    >>> group_of("core_sounds", ["core_sounds"]), group_of("pico_synthetic", ["core_sounds"])
    ('in_domain', 'synthetic')
    >>> group_of("same_prompts", ["core_sounds"], ["same_prompts"])
    'beside'
    """
    if domain in in_domain:
        return "in_domain"
    if domain in beside:
        return "beside"
    return "synthetic" if "synthetic" in domain else "out_of_domain"


def macro(rates: Sequence[tuple[str, Mean]]) -> Mean:
    """The mean over languages of the mean over each language's test sets.

    Args:
        rates: language and rate (or an array of bootstrap draws of it) of each test set.

    >>> macro([("en", 10.0), ("ru", 20.0), ("ru", 40.0)])
    20.0
    """
    by_language: dict[str, list[Any]] = {}
    for language, rate in rates:
        by_language.setdefault(language, []).append(rate)
    means = [sum(values) / len(values) for values in by_language.values()]
    return cast(Mean, sum(means) / len(means))


def summarize(score: Score, group: str) -> dict[str, Any]:
    """Macro (headline) and micro (pooled) rates of one group; empty if it has no test set."""
    sets = [set_score for set_score in score.sets if set_score.group == group]
    if not sets:
        return {}
    return {
        "languages": sorted({s.language for s in sets}),
        "macro": {
            "wer": round(macro([(s.language, s.wer.rate) for s in sets]), 4),
            "cer": round(macro([(s.language, s.cer.rate) for s in sets]), 4),
            "mer": round(macro([(s.language, s.mer.rate) for s in sets]), 4),
        },
        "micro": {
            "wer": round(pool(s.wer for s in sets).rate, 4),
            "cer": round(pool(s.cer for s in sets).rate, 4),
            "mer": round(pool(s.mer for s in sets).rate, 4),
        },
    }


def scored_with(normalizer: str, equivalences: Mapping[str, Any] | None) -> str:
    """What references and hypotheses were compared by; scores with other rules do not compare.

    >>> scored_with("otreg-basic-v2", {"file": "own.yaml", "sha256": "0123456789abcdef" * 4})
    'otreg-basic-v2, equivalences 0123456789ab'
    """
    if equivalences is None:
        return normalizer
    return f"{normalizer}, equivalences {equivalences['sha256'][:12]}"


def is_mixed(mixed_references: int, utterances: int) -> bool:
    """Whether a tenth or more of the references of a test set mix scripts.

    >>> is_mixed(9, 100), is_mixed(10, 100)
    (False, True)
    """
    return mixed_references >= MIXED_SHARE * utterances


def read_score(path: str | Path) -> dict[str, Any]:
    """Read score.json.

    Raises:
        UserError: if it is no score file of this version.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UserError("not a score file of this version", str(path), "score again")
    return value
