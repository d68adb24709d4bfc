"""Bad data directories: every fault is found before anything is written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import Outcome, assert_refused, command, files_in, nothing_written

from espnet_otreg.files import lock_directory

MakeDir = Callable[..., Path]


def format_data(data: Path, output: Path, *options: object) -> Outcome:
    return command("format_data", "--data_dir", data, "--output_dir", output, *options)


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"text": "a good\nb\n"}, "own/text:2: utterance 'b': the transcript is empty"),
        ({"utt2lang": "a en\nb elvish\n"}, "own/utt2lang:2: utterance 'b': unknown language"),
        ({"text": "a good\na bad\nb x\n"}, "own/text:2: duplicate id 'a' (first on line 1)"),
        ({"text": "b good\na bad\n"}, "own/text:2: not sorted ('a' after 'b')"),
        ({"text": "a good\n"}, "own/text: 'b' of wav.scp is missing"),
        ({"text": "a good\nb bad\nc ugly\n"}, "own/text:3: 'c' is not in wav.scp"),
        ({"wav_scp": "a /no/such.wav\nb /no/such.wav\n"}, "the file /no/such.wav does not exist"),
        ({"wav_scp": "../../a x.wav\n"}, "own/wav.scp:1: bad utterance id '../../a'"),
        ({"wav_scp": "a sox a.mp3 -t wav - |\n"}, "own/wav.scp:1: utterance 'a' is a command"),
        ({"wav_scp": ""}, "own/wav.scp: no utterance at all"),
    ],
    ids=[
        "empty transcript", "unknown language", "duplicate id", "unsorted", "missing key",
        "unknown key", "missing audio file", "bad id", "a command", "nothing",
    ],
)  # fmt: skip
def test_faults_of_the_tables(
    make_data_dir: MakeDir, tmp_path: Path, tables: dict[str, str], says: str
) -> None:
    data = make_data_dir(**tables)
    with nothing_written(tmp_path):
        assert_refused(format_data(data, tmp_path / "dump"), says)


def test_a_table_that_is_not_utf_8(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    (data / "text").write_bytes("a good\nb señal\n".encode("latin-1"))
    with nothing_written(tmp_path):
        assert_refused(format_data(data, tmp_path / "dump"), "own/text:2: not UTF-8")


def test_a_missing_table_and_a_missing_directory(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    (data / "utt2lang").unlink()
    with nothing_written(tmp_path):
        assert_refused(format_data(data, tmp_path / "dump"), "own/utt2lang: the file is missing")
        done = format_data(tmp_path / "none", tmp_path / "dump")
        assert_refused(done, tmp_path / "none", "no such directory")


def test_input_and_output_are_one(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    with nothing_written(tmp_path):
        assert_refused(format_data(data, data / "../own"), "input and output are one directory")


@pytest.mark.parametrize("place", ["regular file", "kernel"])
def test_an_unwritable_directory(make_data_dir: MakeDir, tmp_path: Path, place: str) -> None:
    data = make_data_dir()  # nobody, not even root, can make a directory in these places
    output = data / "text/dump" if place == "regular file" else Path("/proc/dump")
    with nothing_written(tmp_path):
        assert_refused(format_data(data, output), output)


def test_two_runs_in_one_directory(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    with lock_directory(tmp_path / "dump"), nothing_written(tmp_path):
        done = format_data(data, tmp_path / "dump")
        assert_refused(done, tmp_path / "dump", "another run (process ", "is writing here")


def test_an_unknown_option(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    with nothing_written(tmp_path):
        assert_refused(
            format_data(data, tmp_path / "dump", "--max_durration", 3), "--max_durration"
        )
        assert_refused(format_data(data, tmp_path / "dump", "--nj", 0), "--nj")


def test_an_interrupted_conversion_leaves_no_table(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data, output = make_data_dir(), tmp_path / "dump"
    keys = [f"u{number:04d}" for number in range(2000)]
    for name, value in (("wav.scp", data / "a.wav"), ("text", "good"), ("utt2lang", "en")):
        (data / name).write_text("".join(f"{key} {value}\n" for key in keys))
    words = [sys.executable, "-m", "espnet_otreg.bin.format_data", "--nj", "1"]
    words += ["--data_dir", str(data), "--output_dir", str(output)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((output / "wavs").glob("u*.wav"))) < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = files_in(output)
    assert not [name for name in left if "/" not in name and name != "format.json"]
    sizes = {size for name, (size, _) in left.items() if name.endswith(".wav")}
    assert sizes == {(data / "a.wav").stat().st_size}  # every recording is whole
