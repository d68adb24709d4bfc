"""Edit errors of hypotheses against references, utterance by utterance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_SEPARATOR = "\t"  # no normalised text holds one, while a space is a token of the character rate


@dataclass(frozen=True)
class ErrorCounts:
    """Hits, substitutions, deletions and insertions, of one utterance or pooled over many.

    >>> ErrorCounts(hits=3, substitutions=1) + ErrorCounts(deletions=1, insertions=1)
    ErrorCounts(hits=3, substitutions=1, deletions=1, insertions=1)
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        """Tokens of the reference: hits, substitutions and deletions."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors in percent of the reference; it passes 100 when much is inserted."""
        return 100.0 * self.errors / self.reference_length

    def to_json(self) -> dict[str, float]:
        """The counts with length and rate, as they stand in score.json."""
        return {
            **asdict(self),
            "reference_length": self.reference_length,
            "rate": round(self.rate, 4),
        }


@dataclass(frozen=True)
class AlignedToken:
    """One step of an alignment: ``kind`` is equal, substitute, delete or insert."""

    kind: str
    reference: str
    hypothesis: str


def align(
    references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]
) -> list[list[AlignedToken]]:
    """A shortest alignment of each hypothesis with its reference (Levenshtein, by jiwer).

    Args:
        references: tokens (words or characters) of each utterance.
        hypotheses: as many lists of tokens; an empty one is all deletions.

    Raises:
        ValueError: if there are not as many hypotheses as references.

    >>> steps = align([["press", "one", "now"]], [["press", "won"]])[0]
    >>> [(step.kind, step.reference, step.hypothesis) for step in steps]
    [('equal', 'press', 'press'), ('substitute', 'one', 'won'), ('delete', 'now', '')]
    """
    import jiwer  # here, because a command's --help needs none of it

    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, but {len(hypotheses)} hypotheses")
    if not references:
        return []
    tokens = jiwer.Compose([jiwer.ReduceToListOfListOfWords(word_delimiter=_SEPARATOR)])
    output = jiwer.process_words(
        [_SEPARATOR.join(reference) for reference in references],
        [_SEPARATOR.join(hypothesis) for hypothesis in hypotheses],
        reference_transform=tokens,
        hypothesis_transform=tokens,
    )
    return [
        [step for chunk in chunks for step in _steps(chunk, reference, hypothesis)]
        for chunks, reference, hypothesis in zip(
            output.alignments, references, hypotheses, strict=True
        )
    ]


def _steps(
    chunk: Any, reference: Sequence[str], hypothesis: Sequence[str]
) -> Iterable[AlignedToken]:
    left = list(reference[chunk.ref_start_idx : chunk.ref_end_idx])
    right = list(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx])
    length = max(len(left), len(right))
    left += [""] * (length - len(left))
    right += [""] * (length - len(right))
    return (AlignedToken(chunk.type, *pair) for pair in zip(left, right, strict=True))


def count_errors(
    references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]
) -> list[ErrorCounts]:
    """The errors of each utterance; arguments and errors as in :func:`align`.

    >>> count_errors([list("你好")], [list("你")])
    [ErrorCounts(hits=1, substitutions=0, deletions=1, insertions=0)]
    """
    counts = []
    for steps in align(references, hypotheses):
        kinds = [step.kind for step in steps]
        counts.append(ErrorCounts(*map(kinds.count, ("equal", "substitute", "delete", "insert"))))
    return counts


def pool(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """The sum of the counts: errors are pooled within a (language, test set).

    >>> pool([ErrorCounts(hits=1), ErrorCounts(deletions=1)]).rate
    50.0
    """
    return sum(counts, ErrorCounts())
