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
