"""Overlap of training and test sets: test sentences that also occur in the training text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from espnet_otreg.data.kaldi_dir import Utterance


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Of one (set, domain, language): how many utterances have a text of the training set.

    ``speakers`` counts the known speakers of the set that are speakers of the training set too.
    """

    set_name: str
    domain: str
    language: str
    utterances: int
    in_training: tuple[str, ...]
    speakers: int

    @property
    def percent(self) -> float:
        """Share of the utterances."""
        return 100.0 * len(self.in_training) / self.utterances


def sentence_overlap(
    training: Iterable[Utterance], evaluated: Mapping[str, Sequence[Utterance]]
) -> list[Overlap]:
    """Compare the normalised texts of sets with those of the training set, language by language.

    Args:
        training: the training set.
        evaluated: name of a set -> its utterances.

    Returns:
        One entry for each (set, domain, language), in this order.
    """
    trained = list(training)
    texts = {(utterance.language, utterance.text) for utterance in trained}
    speakers = {utterance.speaker for utterance in trained}
    overlaps = []
    for name, utterances in evaluated.items():
        groups: dict[tuple[str, str], list[Utterance]] = {}
        for utterance in utterances:
            groups.setdefault((utterance.domain, utterance.language), []).append(utterance)
        for (domain, language), group in sorted(groups.items()):
            seen = tuple(sorted(u.utterance_id for u in group if (language, u.text) in texts))
            shared = {u.speaker for u in group if not u.speaker.endswith("_unknown")} & speakers
            overlaps.append(Overlap(name, domain, language, len(group), seen, len(shared)))
    return overlaps


def format_overlaps(overlaps: Iterable[Overlap]) -> str:
    """A table, one line for each set, domain and language.

    >>> print(format_overlaps([Overlap("ood", "fleurs", "de", 200, ("de_fleurs_unknown_1",), 0)]))
    set   domain            lang utterances  text in training  speakers in training
    ood   fleurs            de          200           1 0.5 %                     0
    """
    lines = [
        f"{'set':<6}{'domain':<18}{'lang':<5}{'utterances':>10}  text in training"
        "  speakers in training"
    ]
    for overlap in overlaps:
        share = f"{len(overlap.in_training)} {overlap.percent:.1f} %"
        lines.append(
            f"{overlap.set_name:<6}{overlap.domain:<18}{overlap.language:<5}"
            f"{overlap.utterances:>10}{share:>18}{overlap.speakers:>22}"
        )
    return "\n".join(lines)
