"""What is spoken, or the reason why nobody can say."""

import pytest

from espnet_otreg.data.transcripts import Dropped, spoken_words, strip_notes


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Press 1 to list, 2 to kick.", "en", "press one to list two to kick"),
        ("Premere 8 per uscire", "it", "premere otto per uscire"),
        ("Pour l'aide, appuyez sur 0.", "fr", "pour l'aide appuyez sur zéro"),
        ("marque 1 ahora", "es", "marque uno ahora"),
        ("Нажмите 9, чтобы", "ru", "нажмите девять чтобы"),
        ("включить / выключить", "ru", "включить выключить"),
        ("... for ...", "en", "for"),
    ],
)
def test_spoken_words(text: str, language: str, words: str) -> None:
    assert spoken_words(text, language) == words


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("3D audio enabled", "en", "number"),
        ("at least a 28.8 kilobit modem", "en", "number"),
        ("dial extension 1234", "en", "number"),
        ("9-ой планетой", "ru", "number"),
        ("separated by * and then", "en", "symbol"),
        ("on\ufffd", "fr", "bad_character"),
        ("perch?la", "it", "bad_character"),
        ("Aстериск", "ru", "mixed_script"),
        ("...", "en", "no_words"),
        ("", "en", "no_words"),
    ],
)
def test_what_has_no_certain_reading_is_dropped(text: str, language: str, reason: str) -> None:
    with pytest.raises(Dropped) as dropped:
        spoken_words(text, language)
    assert dropped.value.reason == reason


def test_notes_of_all_three_kinds_go() -> None:
    assert strip_notes("IAX (nota: non dice)  [x] <beep> ok") == "IAX ok"
