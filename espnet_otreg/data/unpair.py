"""Transcripts dealt to other utterances, for training without pairs of speech and text."""

from __future__ import annotations

import random
from collections.abc import Mapping

from espnet_otreg.errors import UserError


def unpair(texts: Mapping[str, str], languages: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Give every utterance the transcript of another one of its language, of other words.

    The distinct sentences of a language are shuffled and each takes the place of the one before it,
    so that all utterances of one sentence get the same other one.

    Args:
        texts: utterance id -> transcript.
        languages: utterance id -> language.
        seed: of the shuffling.

    Raises:
        UserError: if all utterances of a language say the same.

    >>> dealt = unpair({"a": "si", "b": "no", "c": "si"}, dict.fromkeys("abc", "it"))
    >>> list(dealt.values())
    ['no', 'si', 'no']
    """
    sentences: dict[str, set[str]] = {}
    for key, text in texts.items():
        sentences.setdefault(languages[key], set()).add(text)
    other: dict[tuple[str, str], str] = {}
    for language, distinct in sentences.items():
        if len(distinct) == 1:
            raise UserError(
                "all utterances have the same transcript, so no other one can be dealt to them",
                f"language {language}",
                "leave the language out or train with pairs",
            )
        shuffled = sorted(distinct)
        random.Random(f"{seed} {language}").shuffle(shuffled)
        for text, following in zip(shuffled, [*shuffled[1:], shuffled[0]], strict=True):
            other[language, text] = following
    return {key: other[languages[key], text] for key, text in texts.items()}
