"""What a user sees of a run, in a log and on a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import termios
from pathlib import Path

import pytest

from espnet_otreg.recipe import display as module
from espnet_otreg.recipe.display import Display, read_progress
from espnet_otreg.recipe.steps import Stage

NAMES = ("data", "format", "pretrain")
STAGES = [Stage(number, name) for number, name in enumerate(NAMES, start=1)]


def without_time(text: str) -> list[str]:
    return [line[len("00:00:00 ") :] for line in text.splitlines()]


def test_stages_with_nothing_to_do_are_one_line() -> None:
    stream = io.StringIO()
    display = Display("./run.sh", NAMES, stream)
    for stage in STAGES[:2]:
        display.begin(stage)
        display.end([], ran=False)
    display.begin(STAGES[2])
    display.end(["a.log", "b.log", "c.log"], ran=True)
    display.flush(at_the_end=True)
    assert without_time(stream.getvalue()) == [
        "stages 1-2 data, format: up to date",
        "stage 3 pretrain: done in 0 s; log: a.log b.log and 1 more",
    ]


def test_the_end_says_how_to_go_on() -> None:
    stream = io.StringIO()
    display = Display("./run.sh --tag x", NAMES, stream)
    display.begin(STAGES[0])
    display.end([], ran=False)
    display.flush(at_the_end=True)
    assert without_time(stream.getvalue()) == [
        "stage 1 data: up to date; next: ./run.sh --tag x --stage format"
    ]


def test_a_log_gets_a_line_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    display = Display("./run.sh", NAMES, stream)
    display.begin(STAGES[2])
    for second in range(1, 101):
        now[0] = 100.0 + second
        display.tick(lambda: ("exp/a", (now[0] - 100.0) / 200))
    assert without_time(stream.getvalue()) == [
        "stage 3 pretrain: exp/a, 10 s so far",
        "stage 3 pretrain: exp/a, 70 s so far, 2 min left",
    ]


def test_a_terminal_has_one_line_that_is_written_anew() -> None:
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w") as stream:
        display = Display("./run.sh", NAMES, stream)
        display.begin(STAGES[2])
        display.tick(lambda: ("exp/a 1/4 batches", 0.25))
        display.tick(lambda: ("exp/a 1/4 batches", 0.25))  # within the same second
        display.end(["a.log"], ran=True)
        seen = ""
        while "a.log" not in seen:
            seen += os.read(reading, 10_000).decode()
    os.close(reading)
    drawn, rest = seen.split("exp/a 1/4 batches")
    assert drawn.startswith("\r\033[K") and drawn.endswith("stage 3 pretrain: ")
    assert "\r\033[K" in rest and rest.endswith("done in 0 s; log: a.log\r\n")
    assert seen.count("\n") == 1


def test_a_narrow_terminal_shows_the_progress_and_the_time() -> None:
    reading, writing = pty.openpty()
    termios.tcsetwinsize(writing, (24, 60))
    with os.fdopen(writing, "w") as stream:
        display = Display("./run.sh", NAMES, stream)
        display.begin(STAGES[2])
        display.tick(lambda: (f"{'a' * 50}/b 1/4 batches", 0.25))
        shown = os.read(reading, 10_000).decode().removeprefix("\r\033[K")
    os.close(reading)
    assert len(shown) == 59
    assert re.fullmatch(r"[\d:]{8} stage 3 pretrain: \.\.\.a*/b 1/4 batches, 0 s so far", shown)


def test_progress_is_read_from_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    assert read_progress(str(log), 0.0) is None
    log.write_text(
        "training: 1/8 batches, 3 s\n" + "more\n" * 2000 + "training: 2/8 batches, 6 s\n"
    )
    found = read_progress(str(log), 0.0)
    assert found is not None and found.fraction == 0.25
    assert read_progress(str(log), log.stat().st_mtime + 1) is None  # of an earlier run
