"""Pool data directories; keep texts that were trained on out of the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from espnet_otreg.data.kaldi_dir import Utterance
from espnet_otreg.errors import UserError


def pool(parts: Iterable[Sequence[Utterance]]) -> list[Utterance]:
    """All utterances of several directories, sorted by id.

    Raises:
        UserError: if two share an id.
    """
    pooled: dict[str, Utterance] = {}
    for part in parts:
        for utterance in part:
            if utterance.utterance_id in pooled:
                raise UserError(
                    f"utterance '{utterance.utterance_id}' comes twice",
                    f"{pooled[utterance.utterance_id].wav} and {utterance.wav}",
                    "give the corpora different ids",
                )
            pooled[utterance.utterance_id] = utterance
    return [pooled[key] for key in sorted(pooled)]


def without_texts_of(
    utterances: Iterable[Utterance], training: Iterable[Utterance]
) -> tuple[list[Utterance], list[Utterance]]:
    """Split off the utterances whose normalised text, in their language, was trained on.

    Returns:
        (kept, removed).
    """
    trained = {(utterance.language, utterance.text) for utterance in training}
    kept: list[Utterance] = []
    removed: list[Utterance] = []
    for utterance in utterances:
        seen = (utterance.language, utterance.text) in trained
        (removed if seen else kept).append(utterance)
    return kept, removed
