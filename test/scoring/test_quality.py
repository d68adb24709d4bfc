"""Loops, empty and over-long hypotheses, other scripts."""

from __future__ import annotations

import pytest

from espnet_otreg.scoring.quality import (
    count_quality,
    expected_scripts,
    is_loop,
    is_over_long,
    is_wrong_script,
)


@pytest.mark.parametrize(
    "hypothesis, loops",
    [
        ("press one press one press one press one", True),
        ("press one press one press one", False),
        ("да да да да да", True),
        ("哈哈哈哈哈哈哈哈", True),
        ("ครับครับครับครับ", True),
        ("banana", False),
        ("mississippi is isis", False),
        ("", False),
    ],
)
def test_loops(hypothesis: str, loops: bool) -> None:
    assert is_loop(hypothesis) is loops


def test_a_repetition_of_the_reference_is_no_loop() -> None:
    assert not is_loop("nine nine nine nine", "nine nine nine nine")


def test_a_very_long_hypothesis_is_examined() -> None:
    text = " ".join(f"word{n}" for n in range(3000))
    assert not is_loop(text)


def test_scripts_come_from_the_references() -> None:
    references = ["нажмите клавишу q", "ноль один два три"]
    expected = expected_scripts(references)
    assert not is_wrong_script("нажмите q", expected)
    assert is_wrong_script("press q один", expected)
    japanese = expected_scripts(["カタカナとひらがなと漢字"])
    assert not is_wrong_script("漢字", japanese) and is_wrong_script("한국어", japanese)


@pytest.mark.parametrize(
    ("length", "reference", "over_long"),
    [
        (40, 20, False),
        (41, 20, True),
        (13, 3, False),
        (14, 3, True),
        (31, 20, False),
        (11, 0, True),
    ],
)
def test_over_long_is_twice_the_reference_and_ten_more(
    length: int, reference: int, over_long: bool
) -> None:
    assert is_over_long("a" * length, "b" * reference) is over_long


def test_counts() -> None:
    references = ["один", "два три", "четыре", "пять"]
    hypotheses = ["", "two three", "четыре и пять и шесть и семь", "пять пять пять пять"]
    counts = count_quality(references, hypotheses)
    assert (counts.empty, counts.loop, counts.over_long, counts.wrong_script) == (1, 1, 2, 1)
