"""The number policy, on prompts as they are written in the core sounds and elsewhere."""

import pytest

from espnet_otreg.scoring.spelling import spell_numbers


@pytest.mark.parametrize(
    "language, raw, spelled",
    [
        ("en", "press 0 for help", "press zero for help"),
        ("en", "4 or 6, (7) and “9”.", "four or six, (seven) and “nine”."),
        ("en", "1,200 calls", "one thousand two hundred calls"),
        ("es", "Marque 7, borre 1.500 mensajes", "Marque siete, borre mil quinientos mensajes"),
        ("fr", "appuyez sur 2. 1\u00a0500 appels", "appuyez sur deux. mille cinq cents appels"),
        ("it", "tasto 21", "tasto ventuno"),
        ("ru", "Нажмите 8, чтобы", "Нажмите восемь, чтобы"),
    ],
)  # fmt: skip
def test_certain_numbers_are_spelled(language: str, raw: str, spelled: str) -> None:
    assert spell_numbers(raw, language) == spelled


@pytest.mark.parametrize(
    "language, raw",
    [
        ("en", "3D audio"),
        ("en", "extension 1234 in 1984 at 10:30 is 28.8 or 28,8"),
        ("en", "007 costs $5, 5% off, -5 and #1 at 24/7"),
        ("fr", "1 234 appels"),
        ("es", "h-323"),
        ("zh", "按 1 键"),
        ("haw", "press 1"),
    ],
)
def test_doubtful_numbers_keep_their_digits(language: str, raw: str) -> None:
    assert spell_numbers(raw, language) == raw


@pytest.mark.parametrize(
    ("language", "text", "spelled"),
    [
        ("de", "Am 5. Mai um 7.", "Am 5. Mai um sieben."),
        ("de", "Der 2. Weltkrieg: 3 Bände", "Der 2. Weltkrieg: drei Bände"),
        ("tr", "3. kat", "3. kat"),
        ("fi", "1. luokka", "1. luokka"),
        ("no", "17. mai", "17. mai"),
        ("cs", "2. patro", "2. patro"),
        ("en", "1. Press 2. Wait", "one. Press two. Wait"),
    ],
)
def test_a_full_stop_may_make_an_ordinal(language: str, text: str, spelled: str) -> None:
    assert spell_numbers(text, language) == spelled
