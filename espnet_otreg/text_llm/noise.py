"""Text as somebody would write it down who has misheard it."""

from __future__ import annotations

import random

from espnet_otreg.text_llm.confusions import ALIKE

_LATIN = "abcdefghilmnopqrstuvz"
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщыьэюя"
_NEIGHBOURS: dict[str, str] = {}
for _group in ALIKE:
    for _letter in _group:
        others = "".join(sorted(set(_group) - {_letter}))
        _NEIGHBOURS[_letter] = _NEIGHBOURS.get(_letter, "") + others


def misspell(text: str, language: str, rate: float, rng: random.Random) -> str:
    """Delete, replace and insert characters, mostly by ones that sound alike.

    Args:
        text: normalised text.
        language: decides the alphabet of insertions.
        rate: share of the characters that are touched.
        rng: the only source of randomness.

    >>> misspell("attendere prego", "it", 0.0, random.Random(0))
    'attendere prego'
    """
    alphabet = _CYRILLIC if language == "ru" else _LATIN
    result: list[str] = []
    for character in text:
        draw = rng.random() / rate if rate > 0 else 1.0
        if draw < 0.25:
            continue
        if draw < 0.75 and character != " ":
            near = _NEIGHBOURS.get(character)
            result.append(rng.choice(near if near and rng.random() < 0.7 else alphabet))
            continue
        if draw < 0.9:
            result.append(rng.choice(alphabet))
        elif draw < 1.0 and character != " ":
            result.append(" ")
        result.append(character)
    return "".join(result)
