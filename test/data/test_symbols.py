"""A character that is read aloud drops its utterance, whatever form it comes in."""

import pytest

from espnet_otreg.data.transcripts import Dropped, spoken_words


def reason_of(text: str, language: str = "en") -> str:
    with pytest.raises(Dropped) as dropped:
        spoken_words(text, language)
    return dropped.value.reason


SYMBOLS = {
    "currency": ["5 ₽", "5 €", "₹ 5", "5 ¢", "five ₿", "５ ￥", "5 ﷼", "5 ﹩"],
    "percent": ["50 %", "50 ％", "50 ﹪", "7 ‰", "7 ‱", "خمسة ٪", "سبعة ؉"],
    "mathematics": ["two − one", "two ± one", "two × two", "a ÷ b", "three √ two", "a → b",
                    "five ＋ two"],
    "named punctuation": ["R ＆ B", "﹠ so on", "me ＠ home", "＃ one", "see ¶ two", "† died",
                          "⁋ so", "say ⹋", "two ⁂", "agus ⁊", "five ′", "five ″", "a ﹨ b"],
    "signs": ["25 ℃", "25 °", "№ 5", "name ™", "5 ㎏", "nice 👍🏽", "a ♥ b", "one ☎", "🇮🇹 wins",
              "n.º 5"],
    "letters that are signs": ["xⁿ", "5 µ", "5 \u2126", "5 \u03a9", "the β test", "in ℝ",
                               "𝐱 is", "Ⓐ plan", "XIXᵉ siècle"],
    "kept from before": ["a * b", "# one", "@ home", "a = b", "a | b", "~ five", "a ^ b"],
}  # fmt: skip


@pytest.mark.parametrize("kind", SYMBOLS)
def test_a_symbol_that_is_read_aloud_drops_the_utterance(kind: str) -> None:
    assert {text: reason_of(text) for text in SYMBOLS[kind]} == dict.fromkeys(
        SYMBOLS[kind], "symbol"
    )


NUMBERS = ["½ cup", "x²", "𝟓 cups", "٣ كتب", "३ किताबें", "chapter Ⅷ", "① first", "⑴ first",
           "5 - 3", "5 – 10", "5 − 3", "5 / 3", "5 : 3", "5 x 3", 'a 5" pipe', "a 6' man", "5 -3",
           "x⁻¹", "5️⃣"]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_without_a_certain_reading_drops_the_utterance(text: str) -> None:
    assert reason_of(text) == "number"


@pytest.mark.parametrize("text", ["on\ufffd", "a \ufffc b", "a \ue000 b", "a \u2047 b", "a\x07b"])
def test_a_broken_character_drops_the_utterance(text: str) -> None:
    assert reason_of(text) == "bad_character"


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("press ５ ！", "en", "press five"),
        ("ｐｒｅｓｓ　４", "en", "press four"),
        ("co\u00adop\u200beration", "en", "cooperation"),
        ("«Oui» — dit-il… • (ok)", "fr", "oui dit il ok"),
        ("二〇二五年", "zh", "二〇二五年"),
        ("l`été, l´été", "fr", "l'été l'été"),
        ("и/или", "ru", "и или"),
        ("press '5' or \"6\"", "en", "press five or six"),
        ("٫ مرحبا،", "ar", "مرحبا"),
    ],
)
def test_what_nobody_reads_is_no_symbol(text: str, language: str, words: str) -> None:
    assert spoken_words(text, language) == words
