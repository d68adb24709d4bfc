"""Data directories are written whole, sorted, and read back as they were."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from espnet_otreg.data.kaldi_dir import (
    Utterance,
    read_data_dir,
    read_table,
    scan_table,
    write_data_dir,
)
from espnet_otreg.errors import UserError
from espnet_otreg.files import replace_directory

UTTERANCES = [
    Utterance("en_x_B_1", "b.wav", "hello", "Hello!", "en", "en_x_B", "x"),
    Utterance("en_x_a_1", "a.wav", "two words", "Two  words.", "en", "en_x_a", "x"),
    Utterance("en_x_B_2", "c.wav", "hé", "Hé", "en", "en_x_B", "x"),
]


def test_round_trip_sorted_as_the_c_locale_sorts(tmp_path: Path) -> None:
    write_data_dir(tmp_path / "d", UTTERANCES)
    assert [u.utterance_id for u in read_data_dir(tmp_path / "d")] == [
        "en_x_B_1", "en_x_B_2", "en_x_a_1",
    ]  # fmt: skip
    assert {u.text for u in read_data_dir(tmp_path / "d")} == {"hello", "two words", "hé"}
    assert read_table(tmp_path / "d/spk2utt") == {
        "en_x_B": "en_x_B_1 en_x_B_2",
        "en_x_a": "en_x_a_1",
    }
    for table in (tmp_path / "d").iterdir():
        environment = {**os.environ, "LC_ALL": "C"}
        assert subprocess.run(["sort", "-c", table], env=environment).returncode == 0


def test_no_utterance_is_refused_and_the_old_directory_stays(tmp_path: Path) -> None:
    write_data_dir(tmp_path / "d", UTTERANCES)
    with pytest.raises(UserError, match="no utterance is left"):
        write_data_dir(tmp_path / "d", [])
    assert len(read_data_dir(tmp_path / "d")) == 3


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    write_data_dir(tmp_path / "d", UTTERANCES)
    with (
        pytest.raises(RuntimeError, match="half"),
        replace_directory(tmp_path / "d") as fresh,
    ):
        (fresh / "text").write_text("half")
        raise RuntimeError((fresh / "text").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert len(read_data_dir(tmp_path / "d")) == 3


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    program = (
        "import os, signal; from espnet_otreg.files import replace_directory\n"
        f"with replace_directory({str(tmp_path / 'd')!r}): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    write_data_dir(tmp_path / "d", UTTERANCES)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\na 2\n", r"text:2: duplicate id 'a' \(first on line 1\)"),
        (b"b 1\na 2\n", r"text:2: not sorted \('a' after 'b'\)"),
        (b"a\tword\n", r"text:1: expected a key, one space and a value"),
        (b"a caf\xe9\n", r"text:1: not UTF-8"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / "text")


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"a one\r\nb two\r\n")
    rows, errors = scan_table(tmp_path / "text")
    assert not errors and [row.value for row in rows] == ["one", "two"]
