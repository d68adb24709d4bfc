"""One function for the names of languages, against Whisper's and ISO's own tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from espnet_otreg.data.fleurs import CODES
from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.data.languages import (
    canonical_language,
    describe_language,
    read_languages,
    same_language,
)
from espnet_otreg.data.validate import validate_data
from espnet_otreg.errors import UserError

# ISO 639-1 as it stands, without the codes that were withdrawn.
ISO_639_1 = """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy
    da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy
    hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li
    ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa
    pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th
    ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()


def test_the_codes_of_iso_639_1_stay_as_they_are_in_any_case() -> None:
    assert [canonical_language(code) for code in ISO_639_1] == ISO_639_1
    assert [canonical_language(code.upper()) for code in ISO_639_1] == ISO_639_1
    assert [canonical_language(f"{code}_{code.upper()}.UTF-8") for code in ISO_639_1] == ISO_639_1


def test_every_name_that_whisper_knows_is_known() -> None:
    expected = {name: {"jw": "jv"}.get(code, code) for name, code in TO_LANGUAGE_CODE.items()}
    assert {name: canonical_language(name) for name in expected} == expected
    assert {name: canonical_language(name.title()) for name in expected} == expected


def test_every_code_of_fleurs_is_known() -> None:
    assert {canonical_language(code) for code in CODES.values()} == set(CODES)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("it", ["IT", "it-IT", "it_IT.UTF-8", "it_IT@euro", "ita", "Italian", " italiano ", "ITA"]),
        ("zh", ["zh-CN", "zh_tw", "chi", "zho", "cmn", "cmn-Hans-CN", "cmn_hans_cn", "Mandarin",
                "中文", "Chinese", "simplified chinese"]),
        ("yue", ["yue", "yue_hant_hk", "zh-yue", "Cantonese", "粵語"]),
        ("pt", ["pt_br", "PT-br", "por", "Brazilian Portuguese"]),
        ("sr", ["sr-Latn-RS", "srp", "sh", "hbs"]),
        ("es", ["es-419", "spa", "Castilian", "español"]),
        ("en", ["en-US-x-foo", "EN", "eng", "english", "en_GB"]),
        ("de", ["ger", "deu", "Deutsch", "GERMAN", "de-1996"]),
        ("fr", ["fre", "fra", "français"]),
        ("he", ["iw", "heb"]), ("id", ["in", "ind"]), ("jv", ["jw", "jav"]), ("yi", ["ji"]),
        ("ro", ["mo", "ron", "rum", "Moldovan"]), ("tl", ["tl", "tgl", "fil", "fil_ph"]),
        ("ru", ["русский", "Russian"]), ("ht", ["haitian creole", "Haitian_Creole"]),
        ("ar", ["arb", "ara"]), ("fa", ["pes", "prs", "Farsi"]), ("ta", ["tam", "Tamil"]),
        ("nb", ["nob", "Norwegian Bokmål"]), ("ckb", ["ckb_iq"]), ("ast", ["ast"]),
        ("ga", ["ga"]),  # the code, not the language Ga
        ("nan", ["nan", "nan-tw", "zh-min-nan", "Min Nan Chinese"]), ("any", ["any"]),
    ],
)  # fmt: skip
def test_names_of_all_kinds(code: str, names: list[str]) -> None:
    assert {name: canonical_language(name) for name in names} == dict.fromkeys(names, code)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Itallian", "did you mean Italian (it)?"),
        ("Portugese", "did you mean Portuguese (pt)?"),
        ("English (US)", "did you mean English (en)?"),
        ("jp", "that is a country, did you mean Japanese (ja)?"),
        ("cz_CZ", "that is a country, did you mean Czech (cs)?"),
        ("Germany", "that is a country, did you mean German (de)?"),
        ("xx", "unknown language 'xx'; give a code of ISO 639"),
        ("und", "'und' is no language"),
        ("mul", "'mul' is no language"),
        ("zxx-Latn", "'zxx-Latn' is no language"),
        ("default", "'default' is no language"),
        ("", "the language is empty"),
        ("  ", "the language is empty"),
        ("it\x00", "unknown language 'it\\x00'"),
        ("it,en", "unknown language 'it,en'"),
        ("a-", "unknown language 'a-'"),
        ("x-own", "unknown language 'x-own'"),
        ("x" * 10_000, "unknown language 'xxxxx"),
        (None, "expected the name of a language, found None"),
        (7, "expected the name of a language, found 7"),
        (float("nan"), "expected the name of a language, found nan"),
        (["it"], "expected the name of a language, found ['it']"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_language_ends_in_one_sentence(name: object, hint: str) -> None:
    with pytest.raises(UserError) as error:
        canonical_language(name)  # type: ignore[arg-type]
    assert hint in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize("name", ["tedesco", "francés", "German food", "Germanistik"])
def test_nothing_is_guessed_from_a_part_of_a_name_or_a_third_language(name: str) -> None:
    with pytest.raises(UserError, match="unknown language"):
        canonical_language(name)


def test_bokmal_is_what_whisper_calls_norwegian_and_croatian_is_not_serbian() -> None:
    assert same_language("no", {"nb", "nn", "da"}) == "nb"
    assert same_language("nn", {"nb", "nn"}) == "nn"
    assert same_language("hr", {"sr", "bs"}) is None and same_language("zh", {"yue"}) is None
    assert describe_language("zh") == "Chinese (zh)" and describe_language("qaa") == "qaa"


def test_a_table_names_the_utterance(tmp_path: Path) -> None:
    path = tmp_path / "utt2lang"
    path.write_text("a ita\nb Itallian\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"utt2lang: utterance 'b': unknown .* mean Italian \(it\)"):
        read_languages(path)


def test_a_data_directory_may_name_languages_as_it_likes(
    make_data_dir: Callable[..., Path], tmp_path: Path
) -> None:
    directory = make_data_dir(utt2lang="a ita\nb pt_br\n")
    assert validate_data(directory) == []
    format_data(directory, tmp_path / "dump")
    assert read_table(tmp_path / "dump/utt2lang") == {"a": "it", "b": "pt"}
    assert read_table(tmp_path / "dump/utt2spk") == {
        "a": "it_own_unknown", "b": "pt_own_unknown",
    }  # fmt: skip
    for hint in ("zh-CN", "EN", "ger", "Italian", "yue"):
        (directory / "utt2lang").write_text(f"a {hint}\nb {hint}\n", encoding="utf-8")
        assert validate_data(directory) == []


def test_the_tables_are_loaded_when_they_are_needed() -> None:
    code = (
        "import sys, espnet_otreg.data.languages\n"
        "print(*{'langcodes', 'language_data', 'marisa_trie'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
