"""Hypotheses that are not those of the references, and scores that cannot be compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import Outcome, assert_refused, command, nothing_written

TEXT = "en_a en one two\nen_b en three\nit_a it uno\n"


@pytest.fixture
def make_reference(tmp_path: Path) -> Callable[..., Path]:
    """make_reference(name, text): a test set; text has lines of id, language, transcript."""

    def make(name: str = "test", text: str = TEXT) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        rows = [line.split(" ", 2) for line in text.splitlines()]
        for table, value in (
            ("text", lambda row: row[2]),
            ("utt2lang", lambda row: row[1]),
            ("utt2spk", lambda row: row[0]),
            ("utt2domain", lambda row: "core_sounds"),
        ):
            (directory / table).write_text("".join(f"{row[0]} {value(row)}\n" for row in rows))
        return directory

    return make


def score(reference: Path, hypothesis: Path, *options: object) -> Outcome:
    output = hypothesis.parent / f"{hypothesis.name}_score/score.json"
    words = ("--reference_dir", reference, "--hypothesis", hypothesis, "--output", output)
    return command("slm_score", *words, *options)


def hypothesis(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hypothesis"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("en_a one\nen_b two\n", "no hypothesis for 'it_a'"),
        ("en_a one\nen_b two\nit_a uno\nit_b due\n", "no reference for the hypothesis 'it_b'"),
        ("en_b one\nen_a two\nit_a uno\n", "hypothesis:2: not sorted ('en_a' after 'en_b')"),
        ("en_a one\nen_a two\nit_a uno\n", "hypothesis:2: duplicate id 'en_a'"),
    ],
    ids=["missing", "extra", "unsorted", "duplicate"],
)
def test_wrong_hypotheses(
    make_reference: Callable[..., Path], tmp_path: Path, text: str, says: str
) -> None:
    reference, path = make_reference(), hypothesis(tmp_path, text)
    with nothing_written(tmp_path):
        assert_refused(score(reference, path), path, says)


def test_wrong_references_and_options(make_reference: Callable[..., Path], tmp_path: Path) -> None:
    reference = make_reference()
    path = hypothesis(tmp_path, (reference / "text").read_text())
    with nothing_written(tmp_path):
        assert_refused(score(reference, tmp_path / "none"), tmp_path / "none", "no such file")
        assert_refused(score(reference, path, "--normalizer", "mine"), "mine", "otreg-basic")
        assert_refused(score(reference, path, "--normaliser", "x"), "unrecognized arguments")
        below_a_file = score(reference, path, "--output", path / "score.json")
        assert_refused(below_a_file, path, "not a directory")
    lines = (reference / "utt2lang").read_text().splitlines(keepends=True)
    (reference / "utt2lang").write_text("".join(lines[:-1]))
    with nothing_written(tmp_path):
        assert_refused(score(reference, path), reference, "'it_a' is in only one of text and utt2l")


def test_scores_that_cannot_be_compared(
    make_reference: Callable[..., Path], tmp_path: Path
) -> None:
    files = []
    for name, text in (("test", TEXT), ("other", TEXT.replace("three", "four"))):
        reference = make_reference(name, text)
        done = score(reference, reference / "text")
        assert done.status == 0, done.stderr
        files.append(reference / "text_score/score.json")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "cut.json").write_text(files[0].read_text()[:-100])
    with nothing_written(tmp_path):
        done = command("slm_compare", f"A={files[0]}", f"B={files[1]}")
        assert_refused(done, "'B' and 'A' were scored on different lists of en core_sounds")
        done = command("slm_table", "--row", f"A={tmp_path}/notes.json")
        assert_refused(done, f"{tmp_path}/notes.json", "not a score file")
        done = command("slm_table", "--row", f"A={tmp_path}/cut.json")
        assert_refused(done, f"{tmp_path}/cut.json", "not valid JSON")
        assert_refused(command("slm_table", "--row", files[0]), files[0], "a row without a name")
