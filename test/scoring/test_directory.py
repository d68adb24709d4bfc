"""From data directory and hypotheses to score.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.scoring.error_rate import ErrorCounts
from espnet_otreg.scoring.score import Score, macro, read_score, summarize

ROWS = {
    # id: language, domain, reference, hypothesis
    "en-1": ("en", "core_sounds", "Press one.", "press one"),
    "en-2": ("en", "core_sounds", "Press two now!", ""),
    "en-3": ("en", "core_sounds", "...", "noise"),
    "en-4": ("en", "drascula", "a b c d", "a b x d"),
    "es-1": ("es", "core_sounds", "¿Está aquí?", "esta aqui"),
    "it-1": ("it", "pico_synthetic", "l'acqua", "l acqua"),
    "zh-1": ("zh", "tuxpaint", "你好 世界", "你好世"),
}


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    directory, hypothesis = tmp_path / "data", tmp_path / "hyp" / "text"
    for name, column in (("utt2lang", 0), ("utt2domain", 1), ("text", 2)):
        write_table(directory / name, {key: row[column] for key, row in ROWS.items()})
    write_table(directory / "utt2spk", {key: key[:2] for key in ROWS})
    write_table(hypothesis, {key: row[3] for key, row in ROWS.items()})
    return directory, hypothesis


@pytest.fixture
def score(small: tuple[Path, Path]) -> Score:
    return score_directory(*small)


def test_errors_are_pooled_within_language_and_domain(score: Score) -> None:
    sets = {(s.language, s.domain): s for s in score.sets}
    english = sets["en", "core_sounds"]
    assert english.wer == ErrorCounts(hits=2, deletions=3)
    assert (english.utterances, english.empty_references, english.quality.empty) == (2, 1, 1)
    assert sets["en", "drascula"].wer.rate == 25.0


def test_spanish_is_scored_with_and_without_accents(score: Score) -> None:
    spanish = next(s for s in score.sets if s.language == "es")
    assert spanish.wer.rate == 100.0 and spanish.wer_unaccented == ErrorCounts(hits=2)
    assert all(s.wer_unaccented is None for s in score.sets if s.language != "es")


def test_chinese_is_scored_by_characters_without_spaces(score: Score) -> None:
    chinese = next(s for s in score.sets if s.language == "zh")
    assert chinese.unit == "character"
    assert chinese.wer == chinese.cer == ErrorCounts(hits=3, deletions=1)


def test_groups_and_means(score: Score) -> None:
    assert {s.domain: s.group for s in score.sets} == {
        "core_sounds": "in_domain",
        "drascula": "out_of_domain",
        "tuxpaint": "out_of_domain",
        "pico_synthetic": "synthetic",
    }
    assert summarize(score, "in_domain")["macro"]["wer"] == (60.0 + 100.0) / 2
    assert summarize(score, "in_domain")["micro"]["wer"] == pytest.approx(100 * 5 / 7, abs=1e-4)
    assert summarize(score, "out_of_domain")["languages"] == ["en", "zh"]


def test_a_language_with_two_sets_counts_once_in_the_macro() -> None:
    assert macro([("en", 10.0), ("ru", 20.0), ("ru", 60.0)]) == 25.0


def test_the_file_says_what_was_scored(score: Score, tmp_path: Path) -> None:
    score.write(tmp_path / "score.json")
    value = read_score(tmp_path / "score.json")
    assert value["normalizer"] == "otreg-basic-v2" and len(value["test_set"]) == 64
    assert value["utterances"]["en-2"]["word"] == [3, 3]
    assert "en-3" not in value["utterances"]
    assert value["summary"]["synthetic"]["macro"]["wer"] == 0.0


def test_missing_and_extra_hypotheses_are_named(small: tuple[Path, Path]) -> None:
    directory, hypothesis = small
    table = read_table(hypothesis)
    write_table(hypothesis, {key: text for key, text in table.items() if key != "es-1"})
    with pytest.raises(UserError, match="no hypothesis for 'es-1'"):
        score_directory(directory, hypothesis)
    write_table(hypothesis, {**table, "xx-1": "a", "xx-2": "b"})
    with pytest.raises(UserError, match="no reference for the hypothesis 'xx-1' and 1 more"):
        score_directory(directory, hypothesis)


def test_tables_that_disagree_are_refused(small: tuple[Path, Path]) -> None:
    directory, hypothesis = small
    domains = read_table(directory / "utt2domain")
    write_table(directory / "utt2domain", {k: v for k, v in domains.items() if k != "it-1"})
    with pytest.raises(UserError, match="'it-1' is in only one of text and utt2domain"):
        score_directory(directory, hypothesis)


def test_a_set_of_empty_references_is_refused(small: tuple[Path, Path]) -> None:
    directory, hypothesis = small
    write_table(directory / "text", {**read_table(directory / "text"), "it-1": "?!"})
    with pytest.raises(UserError, match=r"every reference of 'pico_synthetic' \(it\) is empty"):
        score_directory(directory, hypothesis)


@pytest.mark.parametrize("table", ["text", "utt2lang", "utt2domain"])
def test_the_fingerprint_follows_what_is_scored(small: tuple[Path, Path], table: str) -> None:
    directory, hypothesis = small
    before = score_directory(directory, hypothesis).test_set
    write_table(hypothesis, dict.fromkeys(ROWS, "other words"))
    assert score_directory(directory, hypothesis).test_set == before
    changed = {"text": "other", "utt2lang": "fr", "utt2domain": "other"}[table]
    write_table(directory / table, {**read_table(directory / table), "it-1": changed})
    assert score_directory(directory, hypothesis).test_set != before


def test_another_file_is_no_score_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"format": "otreg-score-0"}))
    with pytest.raises(UserError, match="not a score file of this version"):
        read_score(tmp_path / "a.json")


def test_utterances_that_are_their_own_speakers_have_none(
    make_corpus: Callable, write_corpora: Callable
) -> None:
    directory, hypothesis = write_corpora([make_corpus("en")], speakers=25)
    assert score_directory(directory, hypothesis).sets[0].speakers == 25
    keys = read_table(directory / "text")
    write_table(directory / "utt2spk", {key: key for key in keys})
    assert score_directory(directory, hypothesis).sets[0].speakers == 0
