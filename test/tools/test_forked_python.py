"""The server of the tests, and the Python of their recipes: all is as if they had started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_input import ForkServer, Outcome, run

WORDS = [("--row", "a=none.json"), ("--help",), ("bogus",)]


@pytest.mark.parametrize("words", WORDS)
def test_a_command_says_and_ends_the_same(fork_server: ForkServer, words: tuple[str, ...]) -> None:
    def by(python: Path | str) -> Outcome:
        return run(python, "-m", "espnet_otreg.bin.slm_table", *words)

    assert by(fork_server.bin / "python") == by(sys.executable)


def test_jobs_at_the_same_time_end_each_for_itself(fork_server: ForkServer) -> None:
    die = {"fault": {"kind": "signal", "name": "SIGKILL", "nth": 1}}
    done = fork_server.together("slm_table", WORDS, [{}, die, {}])
    assert [outcome.status for outcome in done] == [1, 0, 2]
    assert done[1].stdout.startswith("usage:") and "required: --row" in done[2].stderr


def test_other_programs_are_run_by_the_real_python(fork_server: ForkServer) -> None:
    done = run(fork_server.bin / "python3", "-c", "import sys; print(sys.executable, sys.argv[1:])",
               "a b")  # fmt: skip
    assert done.stdout == f"{sys.executable} ['a b']\n"


def test_directory_environment_and_input(fork_server: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a go\nb stop\n")
    (tmp_path / "utt2lang").write_text("a en\nb en\n")
    words = ("-m", "espnet_otreg.bin.unpair_text", "--data_dir", ".", "--output", "new/text")
    done = run(fork_server.bin / "python", *words, cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert (tmp_path / "new/text").read_text() == "a stop\nb go\n"


def write_to(pipe: Path, process: subprocess.Popen) -> int:
    """Open a named pipe as soon as somebody reads it."""
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline
        with contextlib.suppress(OSError):
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals_reach_it(fork_server: ForkServer, tmp_path: Path, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "scores")
    words = ("-m", "espnet_otreg.bin.slm_table", "--row", f"a={tmp_path / 'scores'}")
    process = subprocess.Popen([fork_server.bin / "python", *words], stderr=subprocess.PIPE)
    pipe = write_to(tmp_path / "scores", process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert b"interrupted; run the same command again" in said and process.returncode == 130
    else:
        assert process.returncode == -number
    # The command itself has ended, too: nobody reads any more.
    deadline = time.monotonic() + 60
    with pytest.raises(BrokenPipeError):
        while time.monotonic() < deadline:
            os.write(pipe, b" ")
            time.sleep(0.01)
    os.close(pipe)
