"""Score directories, read by NIST's sclite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.scoring.error_rate import AlignedToken, pool
from espnet_otreg.scoring.trn import display_width, format_alignment, write_score_directories


def test_sclite_reads_our_files_and_agrees(
    make_corpus: Callable, write_corpora: Callable, sclite_sum: Callable, tmp_path: Path
) -> None:
    corpora = [make_corpus(language, 40) for language in ("en", "fr", "hi", "ru", "th", "zh")]
    score = score_directory(*write_corpora(corpora))
    write_score_directories(score, tmp_path)
    for name in ("wer", "cer"):
        directory = tmp_path / f"score_{name}"
        words, *_, errors = sclite_sum.trn(directory / "ref.trn", directory / "hyp.trn")
        ours = pool(getattr(s, name) for s in score.sets)
        assert ours.reference_length == words
        assert 0 <= errors - ours.errors <= 0.02 * words


def test_trn_lines_have_the_form_of_espnet(
    make_corpus: Callable, write_corpora: Callable, tmp_path: Path
) -> None:
    score = score_directory(*write_corpora([make_corpus("fr", 3)]))
    write_score_directories(score, tmp_path)
    lines = (tmp_path / "score_wer" / "ref.trn").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines] == [f"(fr0-fr-00{n})" for n in range(3)]
    assert "<space>" in (tmp_path / "score_cer" / "ref.trn").read_text()
    result = (tmp_path / "score_wer" / "result.txt").read_text()
    assert f"normalizer: {score.normalizer}" in result and score.test_set in result


def test_alignments_stand_above_one_another_in_every_script() -> None:
    steps = [
        AlignedToken("substitute", "你好", "a"),
        AlignedToken("delete", "हिन्दी", ""),
        AlignedToken("equal", "one", "one"),
    ]
    reference, hypothesis, _ = format_alignment(steps).splitlines()
    assert display_width(reference) == display_width(hypothesis)


def test_long_alignments_are_folded() -> None:
    steps = [AlignedToken("equal", "word", "word")] * 40
    assert max(map(len, format_alignment(steps, width=60).splitlines())) <= 65
