"""Two ways to write the same word are one word in scores, and v1 stays what it was."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import kaldialign
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_otreg.data.transcripts import spoken_words
from espnet_otreg.files import read_json
from espnet_otreg.scoring.error_rate import count_errors
from espnet_otreg.scoring.normalize import (
    SCORING_SCHEME,
    TRAINING_SCHEME,
    normalize,
    normalizer_version,
    split_characters,
    split_words,
)


def scored(text: str, language: str) -> str:
    return normalize(text, language, SCORING_SCHEME)


SAME = [
    # language, ways to write the same words, the normalised text
    ("ca", ["col·legi", "COL·LEGI", "col‧legi", "col∙legi", "coŀlegi", "COĿLEGI", "col.legi",
            "col⋅legi", "collegi"], "collegi"),
    ("ca", ["l’il·lustre intel·ligent.", "l'illustre intelligent"], "l'illustre intelligent"),
    ("en", ["the col·legi", "the collegi"], "the collegi"),
    ("oc", ["in·hèrn des·har", "inhèrn deshar"], "inhèrn deshar"),
    ("hy", ["և", "եւ", "ԵՒ"], "եւ"),
    ("hy", ["ﬓ ﬔ ﬕ ﬖ ﬗ", "մն մե մի վն մխ"], "մն մե մի վն մխ"),
    ("hy", ["ինչո՞ւ, այո՛", "ինչու այո"], "ինչու այո"),
    ("en", ["ﬁnal ﬂow oﬃce aﬄict ſtop ﬅop", "final flow office afflict stop stop"],
     "final flow office afflict stop stop"),
    ("en", ["Chapter Ⅳ", "chapter ⅳ", "Chapter IV"], "chapter iv"),
    ("en", ["𝐀 𝓫𝖔𝗹𝒅 ℝ", "a bold r"], "a bold r"),
    ("en", ["½ 3½ 1/2", "1/2 3 1/2 ½"], "1 2 3 1 2 1 2"),
    ("en", ["m² 10² x₁ ①", "m2 10^2 x1 1"], "m2 10 2 x1 1"),
    ("es", ["la 1ª y el 2º", "la 1a y el 2o"], "la 1a y el 2o"),
    ("en", ["soft\u00adly wo\u034frd \u2066bidi\u2069 ze\u200bro", "softly word bidi zero"],
     "softly word bidi zero"),
    ("ar", ["كتـــاب", "كتاب", "كِتَابٌ"], "كتاب"),
    ("ar", ["ﻻ ﷲ ﻛﺘﺎﺏ", "لا الله كتاب"], "لا الله كتاب"),
    ("ar", ["ﷺ", "صلى الله عليه وسلم"], "صلى الله عليه وسلم"),
    ("ar", ["١٢٣", "123"], "123"),
    ("fa", ["می‌خواهم", "میخواهم", "ميخواهم"], "میخواهم"),
    ("fa", ["كتاب يك", "کتاب یک"], "کتاب یک"),
    ("ur", ["پاكستاني", "پاکستانی"], "پاکستانی"),
    ("he", ["שָׁלוֹם", "שלום", "\ufb2aלום"], "שלום"),
    ("he", ["צה״ל", 'צה"ל', "צה''ל", "צהל"], "צהל"),
    ("he", ["צ׳יפס", "צ'יפס"], "צ'יפס"),
    ("he", ["בית־ספר", "בית-ספר", "בית ספר"], "בית ספר"),
    ("yi", ["װאָס ױפֿן ײִדיש", "וואָס ויפֿן ייִדיש"], unicodedata.normalize("NFC", "וואָס ויפֿן ייִדיש")),
    ("hi", ["\u095b\u093e", "\u091c\u093c\u093e"], "\u091c\u093c\u093e"),
    ("hi", ["२०", "20"], "20"),
    ("bn", ["হঠাত্\u200d", "হঠাৎ"], "হঠাৎ"),
    ("ml", ["അവന്\u200d", "അവൻ"], "അവൻ"),
    ("ml", ["മലര്\u200d പാല്\u200d", "മലർ പാൽ"], "മലർ പാൽ"),
    ("th", ["น้ํา นํ้า", "น้ำ น้ำ"], "น้ำ น้ำ"),
    ("lo", ["\u0e99\u0ec9\u0ecd\u0eb2", "\u0e99\u0ecd\u0ec9\u0eb2", "\u0e99\u0ec9\u0eb3"],
     "\u0e99\u0ec9\u0eb3"),
    ("ko", [unicodedata.normalize("NFD", "한국"), "한국"], "한국"),
    ("ko", ["\u110f\u110f", "ㅋㅋ", "ﾻﾻ"], "ㅋㅋ"),
    ("ja", ["ｶﾞｷﾞﾊﾟ", "ガギパ", "カ゛キ゛ハ゜"], "ガギパ"),
    ("ja", ["人々 馬鹿々々しい こゝろ みすゞ づゝ", "人人 馬鹿馬鹿しい こころ みすず づつ"],
     "人人 馬鹿馬鹿しい こころ みすず づつ"),
    ("ja", ["㌔ ㍻ ゟ", "キロ 平成 より"], "キロ 平成 より"),
    ("zh", ["⼀⼆ \uf9d1", "一二 六"], "一二 六"),
    ("el", ["ΣΊΣΥΦΟΣ", "Σίσυφος", "σίσυφοσ"], "σίσυφος"),
    ("el", ["ΟΔΟΣ, ΟΔΟΣ", "οδος, οδος"], "οδος οδος"),
    ("de", ["GROẞE", "große"], "große"),
    ("tr", ["IŞIK İYİ", "ışık iyi", "I\u015eIK I\u0307YI\u0307"], "ışık iyi"),
    ("en", ["İstanbul", "istanbul"], "istanbul"),
    ("nl", ["ĳs Ĳsselmeer", "ijs ijsselmeer"], "ijs ijsselmeer"),
    ("hr", ["ǆep Ǉubav ǌuška", "džep ljubav njuška"], "džep ljubav njuška"),
    ("ro", ["Îşi ţine", "își ține"], "își ține"),
    ("uk", ["п’ять пʼять п′ять п`ять п＇ять", "п'ять п'ять п'ять п'ять п'ять"],
     "п'ять п'ять п'ять п'ять п'ять"),
    ("br", ["c’hoar cʼhoar", "c'hoar c'hoar"], "c'hoar c'hoar"),
    ("cy", ["y tŷ a’r", "y ty\u0302 a'r"], "y tŷ a'r"),
    ("mt", ["l-għajn ta’", "l għajn ta'"], "l għajn ta"),
    ("uz", ["oʻzbek o‘zbek", "o'zbek o'zbek"], "o'zbek o'zbek"),
    ("af", ["ŉ man", "'n man"], "n man"),
    ("az", ["ǝla", "əla"], "əla"),
    ("vi", ["hòa thủy hóa toè", "hoà thuỷ hoá tòe"], "hoà thuỷ hoá toè"),
    ("ru", ["за́мок ещё", "замок еще"], "замок еще"),
    ("uk", ["за́мок", "замок"], "замок"),
    ("ar", ["ٱلْكِتَاب", "الكتاب"], "الكتاب"),
    ("fa", ["خان\u06c0 ما", "خان\u0647\u0654 ما"], "خان\u0647\u0654 ما"),
    ("th", ["เเม่เเละ", "แม่และ"], "แม่และ"),
    ("lo", ["ເເມ່", "ແມ່"], "ແມ່"),
    ("vi", ["Ðà Nẵng Ɖi", "Đà Nẵng đi"], "đà nẵng đi"),
    ("hr", ["Ðurđa", "Đurđa"], "đurđa"),
    ("ja", ["㈱東芝 ㊗ 🉐", "(株)東芝 祝 得"], "株 東芝 祝 得"),
    ("ko", ["㈜삼성", "(주)삼성"], "주 삼성"),
    ("en", ["plan Ⓐ ⓑ ⒞", "plan a b c"], "plan a b c"),
    ("is", ["Það", "það"], "það"),  # ð is a letter there
]  # fmt: skip


@pytest.mark.parametrize(("language", "ways", "expected"), SAME)
def test_ways_to_write_the_same_words(language: str, ways: list[str], expected: str) -> None:
    assert [scored(way, language) for way in ways] == [expected] * len(ways)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("de", "Straße", "Strasse"),
        ("de", "schon", "schön"),
        ("es", "esta", "está"),
        ("hi", "जा", "\u091c\u093c\u093e"),  # nukta
        ("ar", "أن", "ان"),
        ("tr", "şu", "șu"),  # only Romanian has both for one letter
        ("be", "ёлка", "елка"),
        ("yi", "אַ", "א"),
        ("mk", "ќе", "ке"),
        ("bg", "ѝ", "и"),
        ("uk", "її", "іі"),
        ("fa", "می خواهم", "میخواهم"),
        ("en", "mal.la", "malla"),
        ("vi", "mùa", "muà"),
        ("ko", "ㄱㅏ", "가"),
        ("nuk", "kʷ", "kw"),
    ],
)
def test_what_is_spelling_stays_apart(language: str, one: str, other: str) -> None:
    assert scored(one, language) != scored(other, language)


def test_marks_stay() -> None:
    for language, text in (
        ("hi", "प्राचीन हिन्दी"), ("th", "สวัสดีครับ"), ("ta", "வணக்கம்"), ("km", "ខ្មែរ"),
        ("my", "မြန်မာ"), ("bn", "বাংলা"), ("si", "සිංහල"), ("te", "తెలుగు"), ("vi", "tiếng việt"),
    ):  # fmt: skip
        assert scored(text, language) == unicodedata.normalize("NFC", text)


def test_the_errors_that_v1_counts_are_none() -> None:
    """Words counted by kaldialign: two errors in v1, none in v2."""
    for language, reference, hypothesis in (
        ("ca", "el col·legi", "el collegi"),
        ("hy", "ինչո՞ւ", "ինչու"),
        ("he", "צה״ל", "צהל"),
    ):
        words = {
            scheme: [
                split_words(normalize(text, language, scheme), language)
                for text in (reference, hypothesis)
            ]
            for scheme in (TRAINING_SCHEME, SCORING_SCHEME)
        }
        assert kaldialign.edit_distance(*words[TRAINING_SCHEME])["total"] == 2
        ours = count_errors(*([side] for side in words[SCORING_SCHEME]))[0].errors
        assert ours == kaldialign.edit_distance(*words[SCORING_SCHEME])["total"] == 0


_LETTERS = [c for c in map(chr, range(0x20000)) if unicodedata.category(c)[0] in "LNM"]


def test_a_letter_or_number_is_what_nfkc_makes_of_it() -> None:
    """All of Unicode, but for what the head of the file excepts."""
    odd = [
        c
        for c in _LETTERS
        if (whole := unicodedata.normalize("NFKC", c)) != c
        and unicodedata.category(c) != "Lm"
        and not "\u3131" <= c <= "\u318e"
        and scored(c, "en") != scored(whole, "en")
    ]
    assert odd == []
    assert len(split_characters(scored("น้ำ", "th"), "th")) == 3


def test_every_character_stays_as_it_is_normalised() -> None:
    characters = [c for c in map(chr, range(0x3400)) if unicodedata.category(c) not in ("Cn", "Cs")]
    for start in range(0, len(characters), 100):
        once = scored(" ".join(f"o{c}h" for c in characters[start : start + 100]), "vi")
        assert scored(once, "vi") == once


_PARTS = st.one_of(
    st.sampled_from(list("lnshσςoIİiquya'\"·.' \u0300\u0301\u0307\u0323\u05b6\u055e\u064b²½1١")),
    st.sampled_from([*"אבʼゝゞかガ人々㌔ㄱ각ำาํ้ŀﬁ\u1100\u1161\u200d\u034f\u0d4dന"]),
    st.characters(),
)


@given(
    st.text(_PARTS, max_size=12),
    st.sampled_from(["en", "ca", "el", "he", "yi", "fa", "vi", "ja", "ko", "th", "ml", "tr", "ru"]),
)
def test_normalising_twice_changes_nothing(text: str, language: str) -> None:
    once = scored(text, language)
    assert scored(once, language) == once
    kept = once.replace(" ", "").replace("'", "")
    assert all(unicodedata.category(character)[0] in "LMN" for character in kept)


def test_text_that_is_plain_is_the_same_in_both_versions() -> None:
    for language, text in (
        ("en", "don't press 1 two"), ("fr", "l'été d'un écho"), ("es", "está aquí mañana"),
        ("it", "perché l'acqua"), ("ru", "еще раз п'ять"), ("zh", "你好 世界"),
    ):  # fmt: skip
        assert scored(text, language) == normalize(text, language, TRAINING_SCHEME) == text


def test_text_for_training_and_the_recorded_split_stay_with_v1() -> None:
    record = Path(__file__).resolve().parents[2] / "egs2/mini_multi/slm1/conf/split.json"
    assert read_json(record)["normalizer"] == normalizer_version() == TRAINING_SCHEME
    assert spoken_words("El col·legi", "ca") == "el col legi"
    assert normalize("ﬁn И́ п′ять", "uk") == "ﬁn и́ п ять"
