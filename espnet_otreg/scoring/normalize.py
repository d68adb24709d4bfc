"""Text normalisation: named, versioned normalisers for training and for scoring.

``otreg-basic-v1`` (:mod:`espnet_otreg.scoring.otreg_basic_v1`) makes the text that models are
trained on and that splits are made by. ``otreg-basic-v2``
(:mod:`espnet_otreg.scoring.otreg_basic_v2`) is that of new scores: two ways to write the same word
are one word there. Both keep combining marks and are the house's own.

Words are split at spaces and, in languages with elision (French, Italian, Catalan, Occitan), also
at the apostrophe, which is dropped: "l'été", "l' été" and "l été" are the same two words, as
whisper-basic counts them.

``whisper-basic`` and ``whisper-english`` are OpenAI's, for comparison with published numbers only:
both delete combining marks, so Hindi, Bengali, Tamil, Thai, ... are scored wrongly by them.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable

from espnet_otreg.arguments import checked
from espnet_otreg.config import did_you_mean
from espnet_otreg.data.languages import language_or_default
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.otreg_basic_v1 import otreg_basic_v1
from espnet_otreg.scoring.otreg_basic_v2 import otreg_basic_v2

TRAINING_SCHEME = "otreg-basic-v1"
SCORING_SCHEME = "otreg-basic-v2"
_OWN = {TRAINING_SCHEME: otreg_basic_v1, SCORING_SCHEME: otreg_basic_v2}
SCHEMES = (SCORING_SCHEME, TRAINING_SCHEME, "whisper-basic", "whisper-english")
SPACELESS_LANGUAGES = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my", "bo", "dz"})
ELISION_LANGUAGES = frozenset({"fr", "it", "ca", "oc"})


@functools.cache
def _whisper(scheme: str) -> Callable[[str], str]:
    if scheme == "whisper-english":
        from whisper_normalizer.english import EnglishTextNormalizer

        return EnglishTextNormalizer()
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()


@checked
def normalize(text: str, language: str, scheme: str = TRAINING_SCHEME) -> str:
    """The text as it is trained on or compared: lower-case words with single spaces.

    It is idempotent for the house's own schemes: normalised text stays as it is (in v1 but for
    one odd case: an apostrophe that follows a mark without a base at the start of a word stays).

    Args:
        text: any Unicode text.
        language: as :func:`espnet_otreg.data.languages.canonical_language` takes it, or
            ``default``, which has no rules of its own.
        scheme: one of :data:`SCHEMES`; text for training has its own, and so have scores.

    Raises:
        UserError: if the scheme or the language is unknown.

    >>> normalize("“Don’t” press １, 2 -- or #!", "en")
    "don't press 1 2 or"
    >>> normalize("Ещё раз: как-нибудь?", "ru"), normalize("प्राचीन।", "hi")
    ('еще раз как нибудь', 'प्राचीन')
    >>> normalize("Col·legi", "ca"), normalize("Col·legi", "ca", SCORING_SCHEME)
    ('col legi', 'collegi')
    """
    if scheme in _OWN:
        return _OWN[scheme](text, language_or_default(language))
    if scheme not in SCHEMES:
        raise UserError(f"unknown normalizer '{scheme}'", "", did_you_mean(scheme, SCHEMES))
    return " ".join(_whisper(scheme)(text).split())


def normalizer_version(scheme: str = TRAINING_SCHEME) -> str:
    """Name and version as they stand in every score file and split.

    >>> normalizer_version(), normalizer_version(SCORING_SCHEME)
    ('otreg-basic-v1', 'otreg-basic-v2')
    """
    if scheme in _OWN:
        return scheme
    return f"{scheme} (whisper-normalizer {importlib.metadata.version('whisper-normalizer')})"


@checked
def split_words(text: str, language: str) -> list[str]:
    """The words of a normalised text, as they are counted; elided words stand alone.

    >>> split_words("l'été d'aujourd'hui", "fr"), split_words("don't", "en")
    (['l', 'été', 'd', 'aujourd', 'hui'], ["don't"])
    """
    if language_or_default(language) in ELISION_LANGUAGES:
        text = text.replace("'", " ")
    return text.split()


@checked
def split_characters(text: str, language: str) -> list[str]:
    """The code points of a normalised text, as they are counted for the character error rate.

    One space between words counts, except in languages written without spaces.

    >>> split_characters("你好 世界", "zh"), split_characters("a b", "en")
    (['你', '好', '世', '界'], ['a', ' ', 'b'])
    """
    glue = "" if language_or_default(language) in SPACELESS_LANGUAGES else " "
    return list(glue.join(split_words(text, language)))


def split_units(text: str, language: str) -> list[str]:
    """Words, or characters in languages that are written without spaces.

    >>> split_units("uno due", "it"), split_units("你好", "zh")
    (['uno', 'due'], ['你', '好'])
    """
    spaceless = language_or_default(language) in SPACELESS_LANGUAGES
    return (split_characters if spaceless else split_words)(text, language)


def unaccent(text: str) -> str:
    """Spanish without its accents; ñ is a letter of its own and stays.

    >>> unaccent("pingüino está mañana")
    'pinguino esta mañana'
    """
    return text.translate(str.maketrans("áéíóúü", "aeiouu"))
