"""Units of text in which languages with and without spaces alternate (code-switching).

The mixed error rate counts a character of a script that is written without spaces (Han, kana,
Thai, Lao, Khmer, Burmese, Tibetan) as one unit, and a word of any other script as one, as it is
usual for SEAME and other Mandarin-English speech. It is not the "match error rate" of some tools.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from espnet_otreg.scoring.normalize import split_words

_SPACELESS = (
    "\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U0003ffff"  # Han, kana
    "\u0e00-\u0eff\u0f00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17ff\u19e0-\u19ff"  # Burmese, Khmer
)
_UNIT = re.compile(f"[{_SPACELESS}]|[^{_SPACELESS}]+")
_SPACELESS_CHARACTER = re.compile(f"[{_SPACELESS}]")


def split_mixed(text: str, language: str) -> list[str]:
    """The units of a normalised text: characters of scripts without spaces, words of others.

    >>> split_mixed("我 明天 去 shopping mall好吗", "zh")
    ['我', '明', '天', '去', 'shopping', 'mall', '好', '吗']
    >>> split_mixed("l'été", "fr")
    ['l', 'été']
    """
    return [unit for word in split_words(text, language) for unit in _UNIT.findall(word)]


def join_mixed(units: Sequence[str]) -> str:
    """Units as text: a space between them, but none between two characters without spaces.

    >>> join_mixed(["我", "去", "shopping", "mall"])
    '我去 shopping mall'
    """
    text = ""
    for unit in units:
        glued = not text or (is_spaceless(text[-1]) and is_spaceless(unit[0]))
        text += unit if glued else f" {unit}"
    return text


def is_spaceless(character: str) -> bool:
    """Whether a character is of a script that is written without spaces.

    >>> is_spaceless("好"), is_spaceless("한")
    (True, False)
    """
    return _SPACELESS_CHARACTER.match(character) is not None


def mixes_scripts(text: str, language: str) -> bool:
    """Whether a normalised text has characters without spaces and also words with letters.

    >>> [mixes_scripts(text, "zh") for text in ("我 去 mall", "我 去 24", "go")]
    [True, False, False]
    """
    units = split_mixed(text, language)
    words = any(not is_spaceless(unit[0]) and any(map(str.isalpha, unit)) for unit in units)
    return words and any(is_spaceless(unit[0]) for unit in units)
