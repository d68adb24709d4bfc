"""Quality counts beside the error rate: empty, looping, over-long and wrong-script hypotheses."""

from __future__ import annotations

import collections
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

LOOP_REPETITIONS = 4
LOOP_UNIT_CHARACTERS = (2, 100)
OVER_LONG_RATIO, OVER_LONG_MARGIN = 2, 10
EXPECTED_SCRIPT_SHARE = 0.1

_SHORTEST, _LONGEST = LOOP_UNIT_CHARACTERS
_LOOP = re.compile(rf"(.{{{_SHORTEST},{_LONGEST}}}?)\1{{{LOOP_REPETITIONS - 1}}}")


@dataclass(frozen=True)
class QualityCounts:
    """Hypotheses of one test set that are empty, loop, run on, or are in another script."""

    empty: int = 0
    loop: int = 0
    over_long: int = 0
    wrong_script: int = 0


def is_loop(hypothesis: str, reference: str = "") -> bool:
    """Whether a stretch of 2 to 100 characters comes four times in a row.

    It is no loop if the reference has one as well ("nine nine nine nine").

    Args:
        hypothesis: normalised text; a space is added, so that repeated words are found.
        reference: normalised text.

    >>> is_loop("press one one one one"), is_loop("one one one"), is_loop("нанананана")
    (True, False, True)
    """
    found = _LOOP.search(hypothesis + " ") is not None
    return found and _LOOP.search(reference + " ") is None


def is_over_long(hypothesis: str, reference: str) -> bool:
    """Whether it has over twice the characters of the reference, and over ten more.

    >>> is_over_long("press one to go on", "one"), is_over_long("one one", "one")
    (True, False)
    """
    ratio = len(hypothesis) > OVER_LONG_RATIO * len(reference)
    return ratio and len(hypothesis) > len(reference) + OVER_LONG_MARGIN


def scripts(text: str) -> collections.Counter[str]:
    """Letters by script, which is the first word of a letter's Unicode name.

    >>> sorted(scripts("клавиша q").items())
    [('CYRILLIC', 7), ('LATIN', 1)]
    """
    names = (unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha())
    return collections.Counter(names)


def expected_scripts(references: Iterable[str]) -> frozenset[str]:
    """The scripts that have a tenth or more of all letters of a language's references.

    >>> sorted(expected_scripts(["нажмите клавишу q", "ноль"]))
    ['CYRILLIC']
    """
    letters = scripts("".join(references))
    floor = EXPECTED_SCRIPT_SHARE * letters.total()
    return frozenset(script for script, count in letters.items() if count >= floor)


def is_wrong_script(hypothesis: str, expected: frozenset[str]) -> bool:
    """Whether more than half of the letters are in scripts that are not expected.

    >>> is_wrong_script("nazhmite", frozenset({"CYRILLIC"})), is_wrong_script("", frozenset())
    (True, False)
    """
    letters = scripts(hypothesis)
    strange = sum(count for script, count in letters.items() if script not in expected)
    return strange > letters.total() / 2


def count_quality(references: list[str], hypotheses: list[str]) -> QualityCounts:
    """The counts over one test set of one language, all texts normalised.

    >>> count_quality(["one", "two"], ["", "два"])
    QualityCounts(empty=1, loop=0, over_long=0, wrong_script=1)
    """
    expected = expected_scripts(references)
    pairs = list(zip(hypotheses, references, strict=True))
    return QualityCounts(
        empty=sum(not hypothesis for hypothesis in hypotheses),
        loop=sum(is_loop(hypothesis, reference) for hypothesis, reference in pairs),
        over_long=sum(is_over_long(hypothesis, reference) for hypothesis, reference in pairs),
        wrong_script=sum(is_wrong_script(hypothesis, expected) for hypothesis in hypotheses),
    )
