"""The house's normaliser on every rule it states, and OpenAI's against transformers' copy."""

from __future__ import annotations

import importlib.resources
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_otreg.errors import UserError
from espnet_otreg.scoring.normalize import (
    normalize,
    normalizer_version,
    split_characters,
    split_words,
    unaccent,
)


@pytest.mark.parametrize(
    "language, raw, expected",
    [
        ("en", "  Hello,\tWORLD!\n", "hello world"),
        ("en", "Don’t stop the dogs’ ‘show’", "don't stop the dogs show"),
        ("en", "rock 'n' roll, o'clock, '90s", "rock n roll o'clock 90s"),
        ("en", "well-known / e-mail_address", "well known e mail address"),
        ("en", "5 % of $3.50 & co", "5 of 3 50 co"),
        ("en", "soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("en", "I ❤️ you 1️⃣", "i you 1"),
        ("fr", "L’été, s'il vous plaît — «aujourd'hui»", "l'été s'il vous plaît aujourd'hui"),
        ("it", "Un po’ d'acqua: perche\u0301 no?", "un po d'acqua perché no"),
        ("es", "¿Está aquí? ¡Mañana!", "está aquí mañana"),
        ("ru", "Ещё раз, кое-что: Ё\u0308лка!", "еще раз кое что е\u0308лка"),
        ("be", "Яшчэ ёлка", "яшчэ ёлка"),
        ("uk", "П’ять, пʼять", "п'ять п'ять"),
        ("tr", "IŞIK İYİ", "ışık iyi"),
        ("de", "STRASSE Straße", "strasse straße"),
        ("hi", "प्राचीन हिन्दी।", "प्राचीन हिन्दी"),
        ("th", "สวัสดีครับ น้ำ", "สวัสดีครับ น้ำ"),
        ("ta", "வணக்கம்!", "வணக்கம்"),
        ("zh", "你好，世界！ＡＢＣ　１２３", "你好 世界 abc 123"),
        ("ja", "ｶﾞｷﾞｸﾞ・カフェ", "ガギグ カフェ"),
        ("ko", "안녕하세요?", "안녕하세요"),
        ("ko", unicodedata.normalize("NFD", "한국"), "한국"),
    ],
)
def test_rules(language: str, raw: str, expected: str) -> None:
    assert normalize(raw, language) == expected


@given(st.text(max_size=40), st.sampled_from(["en", "fr", "ru", "tr", "th", "zh", "ja"]))
def test_normalising_twice_changes_nothing(text: str, language: str) -> None:
    once = normalize(text, language)
    assert normalize(once, language) == once


@given(st.text(max_size=40))
def test_only_letters_marks_numbers_and_inner_apostrophes_stay(text: str) -> None:
    words = normalize(text, "en").split(" ")
    kept = "".join(words).replace("'", "")
    assert all(unicodedata.category(character)[0] in "LMN" for character in kept)
    assert all(not word.startswith("'") and not word.endswith("'") for word in words)


@given(st.text(alphabet="कखगािीुूेैोौं्ँ", min_size=1, max_size=20))
def test_combining_marks_on_a_base_stay(text: str) -> None:
    assert normalize("क" + text, "hi") == unicodedata.normalize("NFC", "क" + text)


def test_thai_sara_am_stays_one_character() -> None:
    assert len(split_characters(normalize("น้ำ", "th"), "th")) == 3


def test_elision_is_a_word_boundary_however_it_is_written() -> None:
    for text in ("l'été", "l' été", "l été", "L’ÉTÉ"):
        assert split_words(normalize(text, "fr"), "fr") == ["l", "été"]
    assert split_words(normalize("don't", "en"), "en") == ["don't"]


def test_unaccented_spanish_keeps_its_enye() -> None:
    assert unaccent(normalize("Pingüino, ESTÁ mañana", "es")) == "pinguino esta mañana"


SAMPLES = [
    "Mr. O'Neil won't pay $1,250.50 for the colour TV, you're right!",
    "twenty-two (well) [noise] <unk> th' doctor's 3rd", "प्राचीन हिन्दी", "L’été, ça va?",
    "I've got two thousand and one", "สวัสดีครับ", "你好 世界", "Ещё раз",
]  # fmt: skip


def test_whisper_normalisers_equal_those_of_transformers() -> None:
    from transformers.models.whisper.english_normalizer import (
        BasicTextNormalizer,
        EnglishTextNormalizer,
    )

    data = importlib.resources.files("whisper_normalizer") / "normalizers" / "english.json"
    oracles = {
        "whisper-basic": BasicTextNormalizer(),
        "whisper-english": EnglishTextNormalizer(json.loads(data.read_text())),
    }
    for scheme, oracle in oracles.items():
        for text in SAMPLES:
            assert normalize(text, "en", scheme) == " ".join(oracle(text).split())


def test_whisper_basic_breaks_combining_marks_which_is_why_it_is_not_ours() -> None:
    assert normalize("प्राचीन", "hi", "whisper-basic") == "प र च न"


def test_an_unknown_scheme_is_named_with_a_hint() -> None:
    with pytest.raises(UserError, match="unknown normalizer 'otreg-basic'; did you mean"):
        normalize("a", "en", "otreg-basic")


def test_versions() -> None:
    assert normalizer_version() == "otreg-basic-v1"
    assert normalizer_version("whisper-basic").startswith("whisper-basic (whisper-normalizer 0.")
