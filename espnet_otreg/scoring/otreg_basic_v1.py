"""The normaliser ``otreg-basic-v1``: that of training text, and of scores made with it before.

It never changes, because splits, tokens and scores depend on it. In this order:

1. full-width and half-width forms are folded (Ａ to A, ｱ to ア), then NFC. Not NFKC, which cuts
   one Thai sara am into two code points and so changes character counts.
2. Invisible format characters, variation selectors and keycap frames are removed; letters are
   lower-cased (Turkish and Azerbaijani by their own rule for dotted i).
3. Apostrophes of every shape become ``'``. One between two letters is part of the word (don't,
   l'été, п'ять); any other is a quotation mark and goes, so po' becomes po.
4. Letters, **combining marks** and numbers stay; punctuation (P), symbols (S) and everything else
   becomes a space; a mark whose base went goes with it. Spaces are collapsed.
5. Russian ё becomes е: print leaves the dots out at will, so a reference without them says
   nothing of the sound (whisper-basic keeps the two apart).
6. Digits stay as they are: what a digit sounds like is a guess, and it belongs to data
   preparation (:func:`espnet_otreg.scoring.spelling.spell_numbers`), not to the score.
"""

from __future__ import annotations

import re
import unicodedata

_DOTTED_I_LANGUAGES = frozenset({"tr", "az"})
_APOSTROPHES = re.compile("[’‘ʼʻ`´]")
_PRESENTATION = re.compile("[\u20e3\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def _fold_width(text: str) -> str:
    """Full-width and half-width forms to their ordinary ones, and nothing else of NFKC."""

    def fold(character: str) -> str:
        kind, _, code = unicodedata.decomposition(character).partition(" ")
        return chr(int(code, 16)) if kind in ("<wide>", "<narrow>") else character

    return "".join(map(fold, text)) if not text.isascii() else text


def _is(character: str, categories: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in categories


def kept_words(text: str) -> str:
    """Letters, marks on a base, numbers and apostrophes between letters; the rest is space.

    >>> kept_words("don't -- 'stop' 5 %")
    "don't stop 5"
    """
    kept: list[str] = []
    for before, here, after in zip(" " + text, text, text[1:] + " ", strict=False):
        inner = here == "'" and _is(before, "LMN") and _is(after, "L")
        # ``kept`` and not ``before``: the base itself may have gone.
        lone_mark = _is(here, "M") and (not kept or kept[-1] == " ")
        kept.append(here if inner or (_is(here, "LMN") and not lone_mark) else " ")
    return " ".join("".join(kept).split())


def otreg_basic_v1(text: str, language: str) -> str:
    """The normalised text.

    Args:
        text: any Unicode text.
        language: ISO-639-1 code without a region.

    >>> otreg_basic_v1("Ещё раз: ＯＫ?", "ru")
    'еще раз ok'
    """
    visible = "".join(c for c in _fold_width(text) if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFC", _PRESENTATION.sub("", visible))
    if language in _DOTTED_I_LANGUAGES:
        text = text.replace("I", "ı").replace("İ", "i")
    text = unicodedata.normalize("NFC", text.lower())
    if language == "ru":
        text = text.replace("ё", "е")
    return kept_words(_APOSTROPHES.sub("'", text))
