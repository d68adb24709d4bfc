"""Byte order marks, other encodings and unseen characters in tables."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet_otreg.data.kaldi_dir import read_table, scan_table, write_table
from espnet_otreg.data.tsv import read_rows
from espnet_otreg.data.validate import validate_data
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, read_yaml
from espnet_otreg.slm.train_data import parse_sources, set_errors

MakeDir = Callable[..., Path]
BOM = "\ufeff"


def test_a_byte_order_mark_is_read_over_in_every_table(make_data_dir: MakeDir) -> None:
    directory = make_data_dir()
    for name in ("wav.scp", "text", "utt2lang"):
        path = directory / name
        path.write_text(BOM + path.read_text().replace("\n", "\r\n"), encoding="utf-8")
    assert validate_data(directory) == []
    assert read_table(directory / "text") == {"a": "Good morning!", "b": "Press 4."}
    write_table(directory / "text", read_table(directory / "text"))
    assert (directory / "text").read_bytes() == b"a Good morning!\nb Press 4.\n"


def test_other_files_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(BOM + '{"a": 1}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": 1}
    (tmp_path / "a.yaml").write_text(BOM + "a: 1\r\n", encoding="utf-8")
    assert read_yaml(tmp_path / "a.yaml") == {"a": 1}
    (tmp_path / "a.tsv").write_text(BOM + "path\nx.mp3\n", encoding="utf-8")
    assert list(read_rows(tmp_path / "a.tsv", ["path"])) == [{"path": "x.mp3"}]


def test_espnet_would_take_the_mark_for_a_part_of_the_id(make_data_dir: MakeDir) -> None:
    directory = make_data_dir()
    (directory / "text").write_text(BOM + "a Good.\nb ok\n", encoding="utf-8")
    options = [f"{directory}/wav.scp,speech,sound", f"{directory}/text,text,text"]
    (error,) = set_errors("train", parse_sources("--train", options, []), [], ())
    assert "own/text: begins with a byte order mark" in error
    subprocess.run(error.split("remove it: ")[1], shell=True, check=True)
    assert set_errors("train", parse_sources("--train", options, []), [], ()) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named_once(tmp_path: Path, encoding: str) -> None:
    for name in ("text", "a.json", "a.tsv"):
        (tmp_path / name).write_bytes('a "good"\nb "día"\n'.encode(encoding))
    expected = f"not UTF-8, it looks like {encoding[:6].upper()}; save the file as UTF-8"
    assert scan_table(tmp_path / "text") == ([], [f"{tmp_path}/text: {expected}"])
    for read, name in ((read_json, "a.json"), (read_yaml, "a.json")):
        with pytest.raises(UserError, match=expected):
            read(tmp_path / name)
    with pytest.raises(UserError, match=expected):
        list(read_rows(tmp_path / "a.tsv", ["a"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\u00a0b word\n", "text:1: expected a key, one space and a value, found 'a<U+00A0>b'"),
        ("a\u3000word\n", "text:1: expected a key, one space and a value, found 'a<U+3000>word'"),
        ("a\tword\n", "text:1: expected a key, one space and a value, found 'a<U+0009>word'"),
        ("a x\na\u200bb word\n", "text:2: the id 'a<U+200B>b' holds an invisible character"),
        ("a\u2060 word\n", "text:1: the id 'a<U+2060>' holds an invisible character"),
        ("a x\n\ufeffb y\n", "text:2: the id '<U+FEFF>b' holds an invisible character"),
        ("b x\ncafe\u0301 x\nbe\u0301 y\n", "not sorted ('be<U+0301>' after 'cafe<U+0301>')"),
        ("a one\rb two\r", "text:1: a carriage return or a zero byte inside the line"),
        ("a caf\u00e9 \0\n", "text:1: a carriage return or a zero byte inside the line"),
    ],
)
def test_an_unseen_character_is_shown(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "text").write_bytes(content.encode())
    (error,) = scan_table(tmp_path / "text")[1]
    assert message in error


def test_ids_that_only_look_alike(make_data_dir: MakeDir) -> None:
    directory = make_data_dir(text="a Good.\ncaf\u00e9 ok\n", utt2lang="a en\ncafe\u0301 en\n")
    assert any("'cafe<U+0301>' is not in wav.scp" in error for error in validate_data(directory))


def test_a_path_with_a_blank_is_read_and_one_with_a_no_break_space_is_shown(
    make_data_dir: MakeDir, tmp_path: Path
) -> None:
    directory = make_data_dir()
    blank = (tmp_path / "own_a.wav").rename(tmp_path / "my file.wav")
    table = f"a {blank}\nb {tmp_path}/no\u00a0file.wav\n"
    (directory / "wav.scp").write_text(table, encoding="utf-8")
    (error,) = validate_data(directory)
    assert "no<U+00A0>file.wav does not exist" in error
