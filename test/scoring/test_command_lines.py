"""slm_score, slm_table and slm_compare, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import command

from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.scoring.score import read_score


@pytest.fixture
def scored(make_corpus: Callable, write_corpora: Callable) -> list[Path]:
    """The score files of a control and of a better system."""
    paths = []
    for name, rate in (("control", 0.5), ("OTReg", 0.2)):
        corpora = [make_corpus(language, 40, rate) for language in ("en", "es", "th")]
        directory, hypothesis = write_corpora(corpora, "pico_synthetic", name)
        paths.append(hypothesis.with_name("score.json"))
        done = command(
            "slm_score", *("--reference_dir", directory), *("--hypothesis", hypothesis),
            *("--output", paths[-1], "--in_domain"),
        )  # fmt: skip
        assert done.status == 0, done.stderr
        assert "en pico_synthetic (synthetic)" in done.stdout
    return paths


def test_score_writes_the_score_and_the_kaldi_directories(scored: list[Path]) -> None:
    score = read_score(scored[0])
    assert [s["group"] for s in score["sets"]] == ["synthetic"] * 3
    for name in ("score_wer", "score_cer"):
        files = sorted(path.name for path in (scored[0].parent / name).iterdir())
        assert files == ["hyp.trn", "ref.trn", "result.txt"]


def test_table_prints_text_and_markdown(scored: list[Path]) -> None:
    rows = [f"--row={name}={path}" for name, path in zip(("control", "OTReg"), scored, strict=True)]
    text = command("slm_table", *rows)
    assert text.status == 0, text.stderr
    assert "Out-of-domain (synthetic speech) WER/CER (%)" in text.stdout
    assert "es no accents" in text.stdout and "th (synth.)" in text.stdout
    assert max(map(len, text.stdout.splitlines())) <= 120
    assert "| control |" in command("slm_table", *rows, "--format", "markdown").stdout


def test_compare_ends_in_a_verdict(scored: list[Path]) -> None:
    done = command("slm_compare", f"control={scored[0]}", scored[1])
    assert done.status == 0, done.stderr
    assert "B is better than control: CER" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 140


def test_mistakes_end_in_one_sentence(scored: list[Path], tmp_path: Path) -> None:
    directory, hypothesis = tmp_path / "pico_synthetic", scored[0].with_name("text")
    table = read_table(hypothesis)
    write_table(tmp_path / "short", dict(list(table.items())[:-1]))
    options = ("--reference_dir", directory, "--output", tmp_path / "out" / "score.json")
    for arguments in (
        ("slm_score", *options, "--hypothesis", tmp_path / "short"),
        ("slm_score", *options, "--hypothesis", tmp_path / "absent"),
        ("slm_score", *options, "--hypothesis", hypothesis, "--normalizer", "whisper"),
        ("slm_table", "--row", scored[0]),
        ("slm_compare", tmp_path / "short", scored[1]),
    ):
        done = command(*arguments)
        assert done.status == 1
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()


def test_scoring_imports_neither_torch_nor_espnet() -> None:
    program = (
        "import sys; from espnet_otreg.scoring import results, directory, trn, spelling\n"
        "from espnet_otreg.scoring.normalize import normalize\n"
        "normalize('a', 'en', 'whisper-english'); spelling.spell_numbers('1', 'en')\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'espnet2', 'espnet')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert done.stdout == "[]\n", done.stderr
