"""A publisher's transcript as spoken words, or the reason why the utterance is dropped."""

from __future__ import annotations

import re
from typing import NoReturn

from espnet_otreg.data.languages import language_or_default
from espnet_otreg.data.symbols import fold_forms, uncertain_reading
from espnet_otreg.scoring.normalize import normalize
from espnet_otreg.scoring.spelling import spell_numbers

# Keys of the prep log, and what each means to a reader.
DROP_REASONS = {
    "no_transcript": "audio without a transcript",
    "no_audio": "transcript without audio",
    "empty_audio": "audio file without a sample",
    "duplicate_id": "id given twice, with another text",
    "no_words": "no word is left (notes such as [beep], silence, music)",
    "note": "a remark in brackets that may or may not be read aloud",
    "mark": "a mark of which --marks says that it drops its utterance",
    "number": "a number whose reading is not certain (year, extension, decimal, 3D)",
    "symbol": "a symbol (* # @ & % + = $ № ° and the like) or address spoken in an unknown way",
    "mixed_script": "a word that mixes Latin and Cyrillic letters",
    "bad_character": "a broken character (? or U+FFFD inside a word)",
    "one_word": "fewer than two words",
    "excluded_topic": "single letters and chess pieces",
    "interjection": "cries and sounds only, which everybody writes in another way",
    "rate": "far too long or too short for its transcript",
    "in_training": "the same normalised text is in the training set",
    "unconfirmed": "a recording that recognisers do not confirm to say its text",
    "too_short": "shorter than --min_duration",
    "too_long": "longer than --max_duration",
}

_NOTES = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")
_LATIN_BESIDE_CYRILLIC = re.compile(r"[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")
_GREEK = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")
_BAD_CHARACTER = re.compile("\\w\\?\\w")


class Dropped(Exception):
    """An utterance that cannot be used; ``reason`` is a key of :data:`DROP_REASONS`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def drop(reason: str) -> NoReturn:
    """Give the utterance up for a reason that the prep log knows.

    Raises:
        KeyError: if the reason is not listed (a defect of ours).
        Dropped: otherwise.
    """
    DROP_REASONS[reason]
    raise Dropped(reason)


def strip_notes(text: str) -> str:
    """The text without ``[..]``, ``(..)`` and ``<..>`` notes.

    >>> strip_notes("dash [-]"), strip_notes("<beep ascending>")
    ('dash', '')
    """
    return " ".join(_NOTES.sub(" ", text).split())


def spell_out(text: str, language: str) -> str:
    """The text as it is read aloud, still with its case and punctuation, wide forms folded.

    Raises:
        Dropped: if a digit or symbol has no certain reading, or a character is broken.

    >>> spell_out("Press 9 for more entries.", "en")
    'Press nine for more entries.'
    """
    spelled = spell_numbers(fold_forms(text), language)
    if reason := uncertain_reading(spelled):
        drop(reason)
    if _GREEK.search(spelled) and language_or_default(language) not in ("el", "grc"):
        drop("symbol")  # π, Ω and β beside Latin letters are signs that have a name
    if _BAD_CHARACTER.search(spelled):
        drop("bad_character")
    if _LATIN_BESIDE_CYRILLIC.search(spelled):
        drop("mixed_script")
    return spelled


def spoken_words(text: str, language: str) -> str:
    """The normalised words of a transcript whose notes are stripped already.

    Raises:
        Dropped: as :func:`spell_out`, or if no word is left.

    >>> spoken_words("Press 9, for more entries.", "en")
    'press nine for more entries'
    """
    words = normalize(spell_out(text, language), language)
    if not any(character.isalpha() for character in words):
        drop("no_words")
    return words
