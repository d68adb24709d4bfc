"""Symbols whose spoken form is uncertain: currency, percent, emoji.

Decided by what Unicode says of a character, after full-width and small forms are folded:

- numbers (N) that are no decimal digit spelled before: ½, ², Ⅷ, ①, digits of other scripts and of
  mathematics. 〇 is the exception, a character of Chinese and Japanese writing.
- symbols (S): currency, mathematics, emoji, №, ℃, °, ™, arrows, |, ~. The spacing ` and ´ are
  apostrophes to every normaliser, and no symbols here.
- the punctuation (P) that has a spoken name: % ‰ & @ # * § ¶ † \\ ′ and all of its forms.
- letters that are signs: raised, circled and mathematical ones (ª, ⁿ, ℕ, 𝐱), micro, ohm, kelvin.

All other punctuation, invisible format characters (soft hyphen, zero-width space, joiners) and
variation selectors are not read, and the normaliser takes them out.
"""

from __future__ import annotations

import re
import unicodedata

# Punctuation that has a spoken name, by its name in Unicode, so that no form of it is forgotten.
_SPOKEN_NAME = re.compile(
    "PERCENT|PER MILLE|PER TEN THOUSAND|AMPERSAND|TIRONIAN SIGN ET|COMMERCIAL AT|NUMBER SIGN|"
    "ASTERISK|ASTERISM|SECTION SIGN|PILCROW|PARAGRAPH SIGN|DAGGER|REFERENCE MARK|REVERSE SOLIDUS|"
    "SWUNG DASH|PRIME"
)
_APOSTROPHES = "`´"
_IDEOGRAPHIC_ZERO = "〇"
# Micro, ohm, kelvin, which Unicode takes for letters.
_UNIT_SIGNS = "\u00b5\u2126\u212a"
# For an object, for what could not be decoded, for what a SentencePiece model does not know.
_STAND_INS = "\ufffc\ufffd\u2047"
_FORMS_OF_SIGNS = ("<super>", "<sub>", "<font>", "<circle>", "<square>")
_FOLDED = ("<wide>", "<narrow>", "<small>")


def fold_forms(text: str) -> str:
    """Full-width, half-width and small forms as the ordinary characters that they stand for.

    >>> fold_forms("５０％ ﹠ ＜ｎｏｉｓｅ＞")
    '50% & <noise>'
    """

    def fold(character: str) -> str:
        kind, _, code = unicodedata.decomposition(character).partition(" ")
        return chr(int(code, 16)) if kind in _FOLDED else character

    return text if text.isascii() else "".join(map(fold, text))


def _is_symbol(character: str, category: str) -> bool:
    if category[0] == "S":
        return character not in _APOSTROPHES
    if category[0] == "P":
        return bool(_SPOKEN_NAME.search(unicodedata.name(character, "")))
    form = unicodedata.decomposition(character).partition(" ")[0]
    return category[0] == "L" and (character in _UNIT_SIGNS or form in _FORMS_OF_SIGNS)


def _is_broken(character: str, category: str) -> bool:
    if character in _STAND_INS or category in ("Co", "Cn", "Cs"):
        return True
    return category == "Cc" and not character.isspace()


def uncertain_reading(text: str) -> str | None:
    """Why the spoken form of a text is uncertain: ``number``, ``symbol`` or ``bad_character``.

    Args:
        text: after :func:`fold_forms`, and with its certain numbers spelled.

    >>> [uncertain_reading(text) for text in ("five ₽", "½ cup", "x²", "٪", "plain, isn't it?")]
    ['symbol', 'number', 'number', 'symbol', None]
    """
    found: set[str] = set()
    for character in set(text):
        category = unicodedata.category(character)
        if category[0] == "N":
            found.add("number" if character != _IDEOGRAPHIC_ZERO else "")
        elif _is_broken(character, category):
            found.add("bad_character")
        elif _is_symbol(character, category):
            found.add("symbol")
    return next(
        (reason for reason in ("number", "symbol", "bad_character") if reason in found), None
    )
