"""What counts as the same text: named, versioned normalisers for training and for scoring.

``otreg-basic-v1``, the house's own, in this order:

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

Words are then split at spaces and, in languages with elision (French, Italian, Catalan, Occitan),
also at the apostrophe, which is dropped: "l'été", "l' été" and "l été" are the same two words, as
whisper-basic counts them.

``whisper-basic`` and ``whisper-english`` are OpenAI's, for comparison with published numbers only:
both delete combining marks, so Hindi, Bengali, Tamil, Thai, ... are scored wrongly by them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
import unicodedata
from collections.abc import Callable

from espnet_otreg.config import did_you_mean
from espnet_otreg.data.languages import language_or_default
from espnet_otreg.errors import UserError

DEFAULT_SCHEME = "otreg-basic-v1"
SCHEMES = (DEFAULT_SCHEME, "whisper-basic", "whisper-english")
SPACELESS_LANGUAGES = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my", "bo", "dz"})
ELISION_LANGUAGES = frozenset({"fr", "it", "ca", "oc"})
DOTTED_I_LANGUAGES = frozenset({"tr", "az"})

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


def _spoken(text: str) -> str:
    """Letters, marks on a base, numbers and apostrophes between letters; the rest is space."""
    kept: list[str] = []
    for before, here, after in zip(" " + text, text, text[1:] + " ", strict=False):
        inner = here == "'" and _is(before, "LMN") and _is(after, "L")
        # ``kept`` and not ``before``: the base itself may have gone.
        lone_mark = _is(here, "M") and (not kept or kept[-1] == " ")
        kept.append(here if inner or (_is(here, "LMN") and not lone_mark) else " ")
    return " ".join("".join(kept).split())


def _otreg_basic(text: str, language: str) -> str:
    visible = "".join(c for c in _fold_width(text) if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFC", _PRESENTATION.sub("", visible))
    if language in DOTTED_I_LANGUAGES:
        text = text.replace("I", "ı").replace("İ", "i")
    text = unicodedata.normalize("NFC", text.lower())
    if language == "ru":
        text = text.replace("ё", "е")
    return _spoken(_APOSTROPHES.sub("'", text))


@functools.cache
def _whisper(scheme: str) -> Callable[[str], str]:
    if scheme == "whisper-english":
        from whisper_normalizer.english import EnglishTextNormalizer

        return EnglishTextNormalizer()
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()


def normalize(text: str, language: str, scheme: str = DEFAULT_SCHEME) -> str:
    """The text as it is trained on and compared: lower-case words with single spaces.

    It is idempotent (for the house's own scheme): normalised text stays as it is.

    Args:
        text: any Unicode text.
        language: as :func:`espnet_otreg.data.languages.canonical_language` takes it, or
            ``default``, which has no rules of its own.
        scheme: one of :data:`SCHEMES`; see the head of this file.

    Raises:
        UserError: if the scheme or the language is unknown.

    >>> normalize("“Don’t” press １, 2 -- or #!", "en")
    "don't press 1 2 or"
    >>> normalize("Ещё раз: как-нибудь?", "ru"), normalize("प्राचीन।", "hi")
    ('еще раз как нибудь', 'प्राचीन')
    """
    if scheme == DEFAULT_SCHEME:
        return _otreg_basic(text, language_or_default(language))
    if scheme not in SCHEMES:
        raise UserError(f"unknown normalizer '{scheme}'", "", did_you_mean(scheme, SCHEMES))
    return " ".join(_whisper(scheme)(text).split())


def normalizer_version(scheme: str = DEFAULT_SCHEME) -> str:
    """Name and version as they stand in every score file.

    >>> normalizer_version()
    'otreg-basic-v1'
    """
    if scheme == DEFAULT_SCHEME:
        return scheme
    return f"{scheme} (whisper-normalizer {importlib.metadata.version('whisper-normalizer')})"


def split_words(text: str, language: str) -> list[str]:
    """The words of a normalised text, as they are counted; elided words stand alone.

    >>> split_words("l'été d'aujourd'hui", "fr"), split_words("don't", "en")
    (['l', 'été', 'd', 'aujourd', 'hui'], ["don't"])
    """
    if language_or_default(language) in ELISION_LANGUAGES:
        text = text.replace("'", " ")
    return text.split()


def split_characters(text: str, language: str) -> list[str]:
    """The code points of a normalised text, as they are counted for the character error rate.

    One space between words counts, except in languages written without spaces.

    >>> split_characters("你好 世界", "zh"), split_characters("a b", "en")
    (['你', '好', '世', '界'], ['a', ' ', 'b'])
    """
    glue = "" if language_or_default(language) in SPACELESS_LANGUAGES else " "
    return list(glue.join(split_words(text, language)))


def unaccent(text: str) -> str:
    """Spanish without its accents; ñ is a letter of its own and stays.

    >>> unaccent("pingüino está mañana")
    'pinguino esta mañana'
    """
    return text.translate(str.maketrans("áéíóúü", "aeiouu"))
