"""The normaliser ``otreg-basic-v2``: that of new scores.

What v1 (:mod:`espnet_otreg.scoring.otreg_basic_v1`) says of punctuation, case, apostrophes, marks
and digits holds here too. In addition, two ways to write the same word are one where they differ

* **in shape**: ligatures (ﬁ, ĳ, ǆ, և, ﻻ), presentation forms (Arabic, Hebrew, Armenian), long s,
  Roman numeral, squared, circled, bracketed (㈱), raised and mathematical characters become what
  they are made of (their compatibility decomposition); ½ is 1/2. Digits of every script become 0
  to 9. A raised digit after a digit is a word of its own, as in 10^2. *Not* folded: Thai and Lao
  sara am (one character to a reader; the two-part form becomes one instead), Korean letters (alone
  they are letters, ㄱ, and never grow together), modifier letters such as ʷ (some alphabets need
  them);
* **in what no reader sees**: soft hyphen, joiners (Persian ZWNJ, so می‌خواهم is میخواهم; with a
  space it is two words), combining grapheme joiner, fillers, selectors. Joiners that make a
  letter make it first: Malayalam chillu, Bengali khanda ta;
* **in points that print leaves out at will**, as it does the dots of Russian ё: Arabic vowel signs
  and tatweel, Hebrew points and cantillation, stress on Cyrillic vowels (ru, uk, be, bg). Where
  points are letters (Yiddish, Kashmiri) they stay; so do Arabic hamza and its forms of alef,
  the nukta of Hindi and all accents of Latin letters, which are spelling;
* **in marks that stand inside a word** and do not part it: Catalan l·l (also ŀl, and l.l in
  Catalan) is ll, Occitan n·h and s·h; Armenian ՛ ՜ ՞; Hebrew gershayim (צה״ל, צה"ל). Hebrew
  geresh is an apostrophe, as are ՚ ꞌ ′ and others; a hyphen and maqaf part words, as in v1;
* **in which of two like characters a keyboard has**: Romanian ş ţ are ș ț; Persian, Urdu and
  Kurdish have their own kaf and yeh; Persian ۀ is ه with hamza; Arabic ٱ is ا; Azerbaijani ǝ is ə;
  Vietnamese and South Slavic đ is not the ð or ɖ whose capital looks like its own; Thai and Lao
  แ is one letter and not เ twice; Yiddish װ ױ ײ are two letters each;
* **in the place in a word**: Greek ς is σ at a word's end, whatever case it was written in;
  Vietnamese òa, òe, ùy are oà, oè, uỳ; Japanese 々 ゝ ゞ ヽ ヾ repeat what stands before.

German ß (and ẞ) is not ss, and upper-case STRASSE stays strasse: which of the two it was is lost.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from espnet_otreg.scoring.otreg_basic_v1 import kept_words

_DOTTED_I_LANGUAGES = frozenset({"tr", "az", "crh", "gag"})
_POINTS_ARE_LETTERS = frozenset({"yi", "ks"})
_STRESS_LANGUAGES = frozenset({"ru", "uk", "be", "bg"})

# A consonant, its virama and a zero-width joiner are one letter, which Unicode has since got.
_JOINED = {
    "\u0d23\u0d4d\u200d": "\u0d7a", "\u0d28\u0d4d\u200d": "\u0d7b",
    "\u0d30\u0d4d\u200d": "\u0d7c", "\u0d32\u0d4d\u200d": "\u0d7d",
    "\u0d33\u0d4d\u200d": "\u0d7e", "\u0d15\u0d4d\u200d": "\u0d7f",
    "\u09a4\u09cd\u200d": "\u09ce",
}  # fmt: skip
_JOINED_PATTERN = re.compile("|".join(_JOINED))
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u20e3\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_ONE_STEP = ("<wide>", "<narrow>")
_SYMBOLS_FOLDED = re.compile("[\u2103\u2109\u2e9f\u2ef3\u2f00-\u2fd5]")  # ℃ ℉, radicals as letters
_NEVER_FOLDED = re.compile("[\u0e33\u0eb3\u3131-\u318e]")
_SPACING_VOICE_MARKS = {"\u309b": "\u3099", "\u309c": "\u309a"}

_SARA_AM = re.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32|\u0ecd([\u0ec8-\u0ecb]?)\u0eb2")
_ARABIC_POINTS = re.compile(
    "[\u0610-\u061a\u064b-\u0652\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7-\u06ed]"
)
_HEBREW_POINTS = re.compile("[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\ufb1e]")
_TATWEEL = re.compile("[\u0640\u07fa]")
_STRESS = re.compile("(?<=[аеёиоуыэюяіїєъ])[\u0300\u0301]")

_APOSTROPHES = re.compile("[’‘‛ʼʻʽʹ′‵`´ˊˋ՚׳ꞌ᾽᾿]")
_CATALAN_DOT = re.compile("(?<=l)[·‧∙⋅•](?=l)|(?<=[ns])[·‧∙⋅•](?=h)")
_CATALAN_STOP = re.compile(r"(?<=[^\W\d_]l)\.(?=l[^\W\d_])")
_ARMENIAN_MARKS = re.compile("[\u055b\u055c\u055e\u055f]")
_GERSHAYIM = re.compile("(?<=[\u05d0-\u05ea])(?:[\"״“”„‟]|'')(?=[\u05d0-\u05ea])")

_KURDISH_PERSIAN = {"ك": "ک", "ي": "ی", "ى": "ی"}
_D_WITH_STROKE = {"ð": "đ", "ɖ": "đ"}
_SAME_LETTER: dict[str, dict[str, str]] = {
    "ro": {"ş": "ș", "ţ": "ț"},
    "ar": {"ٱ": "ا"},
    "fa": {**_KURDISH_PERSIAN, "\u06c0": "\u0647\u0654"},
    "th": {"เเ": "แ"},
    "lo": {"ເເ": "ແ"},
    **dict.fromkeys(("vi", "hr", "sr", "bs"), _D_WITH_STROKE),
    "ckb": _KURDISH_PERSIAN,
    "ku": _KURDISH_PERSIAN,
    "ur": {"ك": "ک", "ي": "ی"},
    "az": {"ǝ": "ə"},
}
_YIDDISH = str.maketrans({"װ": "וו", "ױ": "וי", "ײ": "יי"})

_VIETNAMESE = re.compile(
    "(?:(o)([\u0300\u0301\u0303\u0309\u0323])([ae])"
    "|(u)([\u0300\u0301\u0303\u0309\u0323])(y))(?= |$)"
)
_HAN_REPEATED = re.compile("([\u3400-\u9fff\U00020000-\U0003ffff]+)(々+)")
_KANA_REPEATED = re.compile("([\u3041-\u3096\u30a1-\u30fa])([ゝゞヽヾ])")
_FINAL_SIGMA = re.compile("(?<=[^ ])σ(?= |$)")
_LEADING_APOSTROPHE = re.compile(
    "(?<![^ ])'+"
)  # what is left of a word whose first mark had no base


@functools.cache
def _folded(character: str) -> tuple[str, bool]:
    """A character as what it is made of, and whether that stands apart from a digit before."""
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    if _NEVER_FOLDED.match(character):
        return character, False
    if kind in _ONE_STEP:  # NFKC goes on from a narrow Korean letter to a part of a syllable
        return _folded(chr(int(code, 16)))
    category = unicodedata.category(character)
    is_word = category[0] in "LMN" and category != "Lm"
    framed = kind in ("<square>", "<circle>") or (kind == "<compat>" and code.startswith("0028 "))
    if not (is_word or framed or _SYMBOLS_FOLDED.match(character)):
        return character, False
    folded = unicodedata.normalize("NFKC", character)
    raised = kind in ("<super>", "<sub>", "<circle>", "<fraction>")
    return folded, raised and folded[0].isdigit()


def _fold_shapes(text: str) -> str:
    if text.isascii():
        return text
    parts: list[str] = []
    for before, here, after in zip(" " + text, text, text[1:] + " ", strict=False):
        folded, apart = _folded(here)
        if apart and unicodedata.category(before) == "Nd":
            folded = " " + folded
        if "\u2044" in folded and unicodedata.category(after)[0] == "N":  # a fraction's stroke
            folded += " "
        parts.append(folded)
    return "".join(parts)


@functools.cache
def _korean_letters() -> dict[int, str]:
    """Parts of Korean syllables to the letters that stand alone."""
    letters = {}
    for code in range(0x1100, 0x1200):
        name = unicodedata.name(chr(code), "").split(" ", 2)[-1]
        try:
            letters[code] = unicodedata.lookup(f"HANGUL LETTER {name}")
        except KeyError:
            continue  # of old Korean only
    return letters


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character, character))


def _drop_points(text: str, language: str) -> str:
    text = _TATWEEL.sub("", text)
    if language not in _POINTS_ARE_LETTERS:
        text = _HEBREW_POINTS.sub("", _ARABIC_POINTS.sub("", text))
    if language in _STRESS_LANGUAGES:
        text = _STRESS.sub("", text)
    return text.replace("ё", "е") if language == "ru" else text


def _lower(text: str, language: str) -> str:
    if language in _DOTTED_I_LANGUAGES:
        text = text.replace("I", "ı").replace("İ", "i")
    # Elsewhere İ leaves a dot over an i that has one.
    return text.lower().replace("i\u0307", "i")


def _within_words(text: str, language: str) -> str:
    """Marks that stand inside a word: an apostrophe stays, others go without parting it."""
    text = _APOSTROPHES.sub("'", text)
    text = _GERSHAYIM.sub("", _ARMENIAN_MARKS.sub("", _CATALAN_DOT.sub("", text)))
    text = _CATALAN_STOP.sub("", text) if language == "ca" else text
    return unicodedata.normalize("NFC", text)


def _repeat_han(match: re.Match[str]) -> str:
    han, marks = match.groups()
    count = len(marks)
    return han + (han[-count:] if count <= len(han) else han[-1] * count)


def _repeat_kana(match: re.Match[str]) -> str:
    kana, mark = match.groups()
    plain = unicodedata.normalize("NFD", kana)[0]
    return kana + unicodedata.normalize("NFC", plain + ("\u3099" if mark in "ゞヾ" else ""))


def _by_place(text: str, language: str) -> str:
    """Letters that are written in another way for where in the word they stand."""
    text = _FINAL_SIGMA.sub("ς", text.replace("ς", "σ"))
    if language == "vi":
        parts = unicodedata.normalize("NFD", text)
        parts = _VIETNAMESE.sub(r"\1\4\3\6\2\5", parts)
        text = unicodedata.normalize("NFC", parts)
    text = _HAN_REPEATED.sub(_repeat_han, text)
    while (repeated := _KANA_REPEATED.sub(_repeat_kana, text)) != text:  # くゝゝ
        text = repeated
    return text


def otreg_basic_v2(text: str, language: str) -> str:
    """The normalised text; see the head of this file.

    Args:
        text: any Unicode text.
        language: ISO-639-1 code (ISO 639-3 where there is none) without a region.

    >>> otreg_basic_v2("El col·legi", "ca"), otreg_basic_v2("ﬁnal Ⅳ ½", "en")
    ('el collegi', 'final iv 1 2')
    """
    text = _JOINED_PATTERN.sub(lambda match: _JOINED[match.group()], text)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = _fold_shapes(_INVISIBLE.sub("", text))
    for spacing, combining in _SPACING_VOICE_MARKS.items():
        text = text.replace(spacing, combining)
    text = unicodedata.normalize("NFC", text).translate(_korean_letters())
    text = _SARA_AM.sub(lambda m: f"{m[1]}\u0e33" if m[1] is not None else f"{m[2]}\u0eb3", text)
    text = unicodedata.normalize("NFC", _lower(text, language))
    text = unicodedata.normalize("NFC", _drop_points(text, language))
    text = "".join(map(_digit, text)) if not text.isascii() else text
    for one, other in _SAME_LETTER.get(language, {}).items():
        text = text.replace(one, other)
    text = text.translate(_YIDDISH)
    words = _LEADING_APOSTROPHE.sub("", kept_words(_within_words(text, language)))
    return _by_place(words, language)
