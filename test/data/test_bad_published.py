"""Published corpora that are not whole, or not as published: one sentence each, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from published_corpora import (
    tar_up,
    write_commonvoice,
    write_fleurs,
    write_librispeech,
    write_mls,
    write_voxpopuli,
)

from espnet_otreg.data.commonvoice import prepare_commonvoice
from espnet_otreg.data.fleurs import prepare_fleurs
from espnet_otreg.data.librispeech import prepare_librispeech
from espnet_otreg.data.mls import prepare_mls
from espnet_otreg.data.voxpopuli import prepare_voxpopuli
from espnet_otreg.errors import UserError


@pytest.fixture
def all_corpora(tmp_path: Path) -> Path:
    """Every corpus with a test set of one language, German if it has it."""
    root = tmp_path / "corpora"
    write_librispeech(root / "librispeech", "test-clean", {"61-70968": ["HE BEGAN"]})
    write_mls(root / "mls", "mls_german", "test", {"10087_10388_000000": "guten morgen"})
    release = root / "commonvoice/cv-corpus-17.0-2024-03-15"
    clip = ("f" * 128, "common_voice_de_1.mp3", "Ja, sagte er so")
    write_commonvoice(release, "de", "test", [clip])
    write_fleurs(root / "fleurs", "de_de", "test", [("1", "10.wav", "Das Wetter ist gut.")])
    write_voxpopuli(root / "voxpopuli", "de", "test", [("20100210-x_1", "Ja.", "ja", "3")])
    return root


def break_table(root: Path, pattern: str, old: str, new: str) -> None:
    (path,) = root.rglob(pattern)
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("prepare", "language", "pattern", "message"),
    [
        (prepare_mls, "de", "transcripts.txt", "test/transcripts.txt: the file is missing; copy"),
        (prepare_mls, "de", "segments.txt", "test/segments.txt: the file is missing; copy"),
        (prepare_commonvoice, "de", "test.tsv", "de/test.tsv: the file is missing; copy"),
        (prepare_fleurs, "de", "test.tsv", "de_de/test.tsv: the file is missing; copy"),
        (prepare_fleurs, "de", "test.tar.gz", "test.tar.gz: the archive is missing; copy"),
        (prepare_voxpopuli, "de", "asr_test.tsv", "de/asr_test.tsv: the file is missing; copy"),
        (prepare_librispeech, "en", "SPEAKERS.TXT", "SPEAKERS.TXT: the file is missing; copy"),
    ],
)
def test_a_missing_file(all_corpora, tmp_path: Path, prepare, language, pattern, message) -> None:
    root = all_corpora / prepare.__name__.removeprefix("prepare_")
    for path in root.rglob(pattern):
        path.unlink()
    with pytest.raises(UserError, match=message) as error:
        prepare(root, tmp_path / "out", language, "test-clean" if language == "en" else "test")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prepare", "pattern", "old", "new", "message"),
    [
        (prepare_commonvoice, "test.tsv", "sentence\t", "satz\t",
         r"test\.tsv:1: the header has no column 'sentence', only: client_id, path, sentence_id"),
        (prepare_commonvoice, "test.tsv", "sagte", "sag\tte",
         r"test\.tsv:2: 14 columns, but 13 in the header"),
        (prepare_commonvoice, "clip_durations.tsv", "\t900", "\tlong",
         r"clip_durations\.tsv: 'long' is not a number"),
        (prepare_voxpopuli, "asr_test.tsv", "speaker_id", "speaker",
         r"asr_test\.tsv:1: the header has no column 'speaker_id'"),
        (prepare_mls, "transcripts.txt", "\t", " ",
         r"transcripts\.txt:1: expected 2 columns with tabs between them, found 1"),
        (prepare_mls, "segments.txt", "\t100.5", "\tstart", "'start' is not a number"),
        (prepare_fleurs, "test.tsv", "\tMALE", "", r"test\.tsv:1: expected 7 columns"),
    ],
)  # fmt: skip
def test_a_table_of_another_form(
    all_corpora: Path, tmp_path: Path, prepare, pattern: str, old: str, new: str, message: str
) -> None:
    root = all_corpora / prepare.__name__.removeprefix("prepare_")
    break_table(root, pattern, old, new)
    with pytest.raises(UserError, match=message) as error:
        prepare(root, tmp_path / "out", "de", "test")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "prepare",
    [prepare_librispeech, prepare_mls, prepare_commonvoice, prepare_fleurs, prepare_voxpopuli],
)
def test_a_language_or_a_subset_that_the_corpus_lacks(all_corpora, tmp_path, prepare) -> None:
    root = all_corpora / prepare.__name__.removeprefix("prepare_")
    with pytest.raises(UserError, match="has no language 'xx'; it has: .*(de|en)"):
        prepare(root, tmp_path / "out", "xx", "test")
    language = "en" if prepare is prepare_librispeech else "de"
    with pytest.raises(UserError, match="has no subset 'trian'; it has: .*test"):
        prepare(root, tmp_path / "out", language, "trian")


def test_nothing_usable_says_why(all_corpora: Path, tmp_path: Path) -> None:
    for path in (all_corpora / "mls").rglob("*.flac"):
        path.unlink()
    with pytest.raises(UserError, match=r"no usable utterance of mls test \(de\); dropped: no_aud"):
        prepare_mls(all_corpora / "mls", tmp_path / "out", "de", "test")


def test_an_archive_of_the_hub_that_is_cut_short(all_corpora: Path, tmp_path: Path) -> None:
    (archive,) = (all_corpora / "fleurs").rglob("test.tar.gz")
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"test\.tar\.gz: the archive cannot be read"):
        prepare_fleurs(all_corpora / "fleurs", tmp_path / "out", "de", "test")
    assert not (tmp_path / "out").exists()
    tar_up(all_corpora / "mls", archive, all_corpora)
    with pytest.raises(UserError, match="no usable utterance of fleurs"):
        prepare_fleurs(all_corpora / "fleurs", tmp_path / "out2", "de", "test")
