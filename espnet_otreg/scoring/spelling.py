"""Digits to words, for the transcripts that a model is trained and tested on."""

from __future__ import annotations

import re

from espnet_otreg.data.languages import canonical_language

_THOUSANDS_SEPARATORS = {
    "en": ",", "ja": ",", "th": ",", "fr": "\u00a0\u202f", "ru": "\u00a0\u202f",
    "es": ".", "it": ".", "de": ".", "pt": ".", "nl": ".", "tr": ".", "id": ".",
}  # fmt: skip
# Where a full stop behind a number makes an ordinal of it: "am 5. Mai".
_ORDINAL_STOP_LANGUAGES = frozenset(
    "az bs cs da de dsb et eu fi fo hr hsb hu is lb lv no nb nn pl sk sl sr tr".split()
)


def _number_pattern(separators: str) -> re.Pattern[str]:
    """A whole number that stands alone: nothing but quotes, brackets or sentence marks touch it."""
    groups = f"(?:[{re.escape(separators)}][0-9]{{3}})*" if separators else ""
    number = rf"(?:0|[1-9][0-9]{{0,2}}{groups})"
    # "1 234" may be one number or two, and in "5 - 3", "5 / 3", "5 x 3" the sign is read too: none
    # of them is spelled.
    sign = r"(?:[^\w\s.,;!?…]|[xX])"
    before = rf"""(?<![^\s("'«“‘¿¡])(?<![0-9]\s)(?<![0-9]\s{sign}\s)"""
    after = rf"""(?=[.,;:!?…)"'»”’]*(?:\s|$))(?!\s[0-9]|\s{sign}+\s?[0-9])"""
    return re.compile(before + number + after)


def _is_measure(text: str, match: re.Match[str]) -> bool:
    """Whether the mark behind a number is one of inches or feet: nothing has opened a quotation."""
    mark, before = text[match.end() : match.end() + 1], text[: match.start()]
    if mark == '"':
        return before.count(mark) % 2 == 0
    return mark == "'" and not re.search(r"(?:^|[\s(])'", before)


def _is_ordinal(text: str, match: re.Match[str], language: str) -> bool:
    """Whether a number may be an ordinal, because a full stop and then a word come behind it."""
    behind = re.match(r"\.\s*\w", text[match.end() :])
    return language in _ORDINAL_STOP_LANGUAGES and behind is not None


def spell_numbers(text: str, language: str) -> str:
    """Spell the numbers whose reading is not in doubt; leave every other digit where it is.

    In no doubt is a whole number of at most three digits, or with thousands separators in the
    manner of the language, that stands alone: "press 4", "12,500 calls". A year, a telephone
    extension, a decimal, a time, a sign, a sum, 5" (inches), "3D", a number with a full stop before
    a word where that may be an ordinal (German "am 5. Mai") or a language without rules keeps its
    digits, and data preparation drops and counts a transcript that still has one. Words are
    cardinals in their dictionary form, so a Russian case or gender may be off.

    Args:
        text: a raw transcript, before :func:`espnet_otreg.scoring.normalize.normalize`.
        language: as :func:`espnet_otreg.data.languages.canonical_language` takes it.

    >>> spell_numbers("Press 4, or 21; dial 1234 for 3D.", "en")
    'Press four, or twenty-one; dial 1234 for 3D.'
    >>> spell_numbers("2.000 chiamate", "it"), spell_numbers("2 звонка", "ru")
    ('duemila chiamate', 'два звонка')
    """
    from num2words import num2words

    language = canonical_language(language)
    separators = _THOUSANDS_SEPARATORS.get(language, "")

    def spell(match: re.Match[str]) -> str:
        if _is_measure(text, match) or _is_ordinal(text, match, language):
            return match.group()
        number = int(re.sub("[^0-9]", "", match.group()))
        return str(num2words(number, lang=language)).replace(",", "")

    try:
        return _number_pattern(separators).sub(spell, text)
    except NotImplementedError:  # num2words does not know this language
        return text
