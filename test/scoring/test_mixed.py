"""The mixed error rate, against kaldialign and NIST's sclite on units split by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import kaldialign
import pytest

from espnet_otreg.data.kaldi_dir import write_table
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.compare import compare
from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.scoring.mixed import join_mixed, split_mixed
from espnet_otreg.scoring.results import comparison_tables, result_tables, score_tables
from espnet_otreg.scoring.rows import load_row, parse_row
from espnet_otreg.scoring.score import read_score
from espnet_otreg.scoring.trn import write_score_directories

# language, a text and its units, split by hand
UNITS = [
    ("zh", "我明天去shopping mall 好吗", "我 明 天 去 shopping mall 好 吗"),
    ("en", "i like 你好 very much", "i like 你 好 very much"),
    ("ja", "カフェでcoffeeを2杯", "カ フ ェ で coffee を 2 杯"),
    ("th", "ไปช้อป shopping", "ไ ป ช ้ อ ป shopping"),
    ("ko", "오늘 meeting 있어요", "오늘 meeting 있어요"),
    ("hi", "मैं office जा रहा", "मैं office जा रहा"),
    ("ar", "انا في ال office", "انا في ال office"),
    ("fr", "l'été à 北京", "l été à 北 京"),
    ("lo", "ໄປ ok", "ໄ ປ ok"),
    ("my", "က ok", "က ok"),
    ("km", "ខ្មែរ ok", "ខ ្ ម ែ រ ok"),
    ("zh", "𠀀 〇 人々 ㄅ", "𠀀 〇 人 々 ㄅ"),
]


@pytest.mark.parametrize(("language", "text", "units"), UNITS)
def test_units(language: str, text: str, units: str) -> None:
    assert split_mixed(text, language) == units.split()
    assert split_mixed(join_mixed(units.split()), language) == units.split()


HAN, WORDS = "我你他明天去吃饭好吗请按一", "shopping mall meeting ok project deadline".split()


def corpus(rate: float, seed: int) -> list[tuple[list[str], list[str]]]:
    """Units of references and hypotheses; the references depend on nothing."""
    draw, noise = random.Random(0), random.Random(seed)
    pairs = []
    for _ in range(60):
        units = [draw.choice([*HAN, *WORDS, *WORDS]) for _ in range(draw.randint(3, 12))]
        wrong = [unit for unit in units if noise.random() > rate]
        wrong += [noise.choice(WORDS)] if noise.random() < rate else []
        pairs.append((units, wrong))
    return pairs


@pytest.fixture
def switched(tmp_path: Path) -> Callable[..., Path]:
    """switched(rate, seed): the score file of a Mandarin-English set."""

    def make(rate: float, seed: int = 0, language: str = "zh") -> Path:
        pairs = corpus(rate, seed)
        directory, hypothesis = tmp_path / language, tmp_path / f"{rate}-{seed}-{language}"
        for path, side in ((directory / "text", 0), (hypothesis, 1)):
            # Without spaces between Han, and in capitals, as people write.
            texts = {f"u{n:02d}": join_mixed(pair[side]).upper() for n, pair in enumerate(pairs)}
            write_table(path, texts)
        write_table(directory / "utt2lang", dict.fromkeys(texts, language))
        score = score_directory(directory, hypothesis)
        out = tmp_path / f"{rate}-{seed}-{language}.json"
        write_score_directories(score, tmp_path / "dirs", ("wer", "cer", "mer"))
        score.write(out)
        return out

    return make


def test_counts_equal_kaldialign_and_sclite(
    switched: Callable, sclite_sum: Callable, tmp_path: Path
) -> None:
    value = read_score(switched(0.3))
    pairs = corpus(0.3, 0)
    expected = sum(kaldialign.edit_distance(*pair)["total"] for pair in pairs)
    mer = value["sets"][0]["mer"]
    assert mer["substitutions"] + mer["deletions"] + mer["insertions"] == expected
    assert mer["reference_length"] == sum(len(reference) for reference, _ in pairs)
    words, *_, errors = sclite_sum(*map(list, zip(*pairs, strict=True)))
    assert words == mer["reference_length"] and 0 <= errors - expected <= 0.02 * words
    directory = tmp_path / "dirs" / "score_mer"
    assert sclite_sum.trn(directory / "ref.trn", directory / "hyp.trn")[0] == words
    assert "mixed" in (directory / "result.txt").read_text()
    for key, (reference, hypothesis) in zip(sorted(value["utterances"]), pairs, strict=True):
        distance = kaldialign.edit_distance(reference, hypothesis)["total"]
        assert value["utterances"][key]["mixed"] == [distance, len(reference)]


def test_it_is_neither_the_rate_of_words_nor_of_characters(switched: Callable) -> None:
    for language in ("zh", "en"):
        (result,) = read_score(switched(0.3, language=language))["sets"]
        assert len({result[name]["reference_length"] for name in ("wer", "cer", "mer")}) >= 2
        assert result["mer"]["reference_length"] != result["wer"]["reference_length"]
        assert result["mixed_references"] > 50


def test_mixed_sets_show_it_and_never_in_the_place_of_wer(switched: Callable) -> None:
    a, b = load_row("a", [switched(0.4)]), load_row("b", [switched(0.1, 1)])
    titles = [table.title for table in result_tables([a, b])]
    assert [t for t in titles if "MER (%)" in t] == ["Out-of-domain MER (%)"]
    assert "Out-of-domain CER (%)" in titles
    tables = result_tables([a, b])
    assert "MER" in next(t for t in tables if t.title.startswith("By test set")).header
    comparison = compare(a, b)
    assert [d.measure_name for d in comparison.primary] == ["CER", "CER", "MER"]
    assert comparison.primary[2].outcome == "better"
    assert any("MER, b minus a" in table.title for table in comparison_tables(comparison))
    assert [d.measure for d in compare(a, b, ["mer"]).primary] == ["mer"]


def test_one_script_shows_it_on_request_only(
    make_corpus: Callable, write_corpora: Callable, tmp_path: Path
) -> None:
    for language in ("en", "th"):
        score = score_directory(*write_corpora([make_corpus(language)], f"d_{language}"))
        same = score.sets[0].wer if language == "en" else score.sets[0].cer
        assert score.sets[0].mer == same
        assert "MER" not in score_tables(score)[0].header
        assert "MER" in score_tables(score, ["mer"])[0].header
        assert score_tables(score, ["mer"])[1].header == ("", "macro MER", "micro MER")
        score.write(tmp_path / f"{language}.json")
    row = load_row("a", [tmp_path / "en.json", tmp_path / "th.json"])
    titles = [table.title for table in result_tables([row])]
    assert not any("MER" in title for title in titles)
    assert result_tables([row], ["mer"])[0].title == "Out-of-domain MER (%)"


def test_rates_that_do_not_exist(switched: Callable) -> None:
    row = load_row("a", [switched(0.3)])
    for wrong, says in (
        (["mre"], "did you mean 'mer'"),
        ("mer", "expected a list"),
        ([None], "known: cer, mer, wer"),
        (["WER"], "did you mean 'wer'"),
    ):
        for ask in (
            lambda names: result_tables([row], names),
            lambda names: compare(row, row, names),
        ):
            with pytest.raises(UserError, match=says):
                ask(wrong)


def test_a_score_without_it_is_read_as_before(switched: Callable, tmp_path: Path) -> None:
    value = json.loads(switched(0.3).read_text())
    for entry in value["sets"]:
        del entry["mer"], entry["mixed_references"]
    for entry in value["utterances"].values():
        del entry["mixed"]
    del value["equivalences"]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(value))
    row = parse_row(f"old={old}")
    assert not any("MER" in table.title for table in result_tables([row]))
    with pytest.raises(UserError, match="zh zh: it has no mixed error rate; score it again"):
        result_tables([row], ["mer"])
