"""What a user sees of a run: one line a stage, with progress and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from espnet_otreg.progress import ProgressLine, last_progress
from espnet_otreg.recipe.steps import Stage

_FIRST_LINE_SECONDS, _LINE_SECONDS = 10.0, 60.0  # in a log
_TAIL_BYTES = 4096
_ERASE_LINE = "\r\033[K"


def duration(seconds: float) -> str:
    """A rough time for people.

    >>> duration(42), duration(100), duration(7500)
    ('42 s', '2 min', '2 h 5 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def named_stages(stages: Sequence[Stage]) -> str:
    """Numbers and names of stages that follow each other.

    >>> named_stages([Stage(1, "data"), Stage(2, "format")])
    'stages 1-2 data, format'
    """
    names = ", ".join(stage.name for stage in stages)
    if len(stages) == 1:
        return f"stage {stages[0].number} {names}"
    return f"stages {stages[0].number}-{stages[-1].number} {names}"


def read_progress(log: str, since: float) -> ProgressLine | None:
    """The last progress in a log, unless it is older than ``since`` (of an earlier run)."""
    try:
        with open(log, "rb") as file:
            if Path(log).stat().st_mtime < since:
                return None
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            return last_progress(file.read().decode("utf-8", "replace"))
    except OSError:
        return None  # the command has not started yet


class TimeLeft:
    """Extrapolates the time left from the shares of work done so far.

    >>> left = TimeLeft()
    >>> left(0.5, now=10.0), left(0.75, now=20.0)
    (None, 10.0)
    """

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None

    def __call__(self, fraction: float, now: float) -> float | None:
        """Seconds left; None as long as nobody can say."""
        if self.first is None:
            self.first = (fraction, now)
        begin, then = self.first
        if fraction <= begin:
            return None
        return (1 - fraction) * (now - then) / (fraction - begin)


class Display:
    """Prints the lines of a run.

    Args:
        go_on: the user's command line, to which ``--stage NAME`` is added.
        names: of all stages of the recipe.
        stream: standard output; on a terminal the line of the running stage is written anew.
    """

    def __init__(self, go_on: str, names: Sequence[str], stream: IO[str] = sys.stdout) -> None:
        self.go_on, self.names, self.stream = go_on, names, stream
        self.terminal = stream.isatty()
        self.idle: list[Stage] = []
        self.stage: Stage | None = None
        self._open = False  # whether an unfinished line is on the terminal

    def begin(self, stage: Stage) -> None:
        """A stage begins; so far it has nothing to do."""
        self.stage, self.started = stage, time.monotonic()
        self.last: float | None = None
        self.left = TimeLeft()

    def end(self, logs: Sequence[str], ran: bool) -> None:
        """The stage has ended."""
        assert self.stage is not None
        if not ran:
            self.idle.append(self.stage)
            return
        shown = " ".join(logs[:2]) + (f" and {len(logs) - 2} more" if len(logs) > 2 else "")
        seconds = f"{time.monotonic() - self.started:.0f} s"
        said = f"{named_stages([self.stage])}: done in {seconds}; log: {shown or 'none'}"
        self.line(said + self._next(self.stage))

    def skipped(self, stage: Stage) -> None:
        """The user does not want this stage."""
        self.line(f"{named_stages([stage])}: skipped (--skip_train)")

    def flush(self, at_the_end: bool = False) -> None:
        """Say which stages had nothing to do, and what is next at the end of the run."""
        if self.idle:
            idle, self.idle = self.idle, []
            following = self._next(idle[-1]) if at_the_end else ""
            self.line(f"{named_stages(idle)}: up to date{following}")

    def line(self, text: str) -> None:
        """A whole line with the time of day."""
        self.flush()
        self._print(f"{time.strftime('%H:%M:%S')} {text}\n")

    def error(self, text: str) -> None:
        """A whole line on standard error."""
        self.flush()
        self.clear()
        print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line of the running stage away, so that others may write."""
        if self._open:
            self.stream.write(_ERASE_LINE)
            self.stream.flush()
            self._open = False

    def tick(self, status: Callable[[], tuple[str, float]]) -> None:
        """Show how far the stage is, if it is time to do so.

        Args:
            status: says what runs, and which share of the stage is done.
        """
        now = time.monotonic()
        pause = 1.0 if self.terminal else _LINE_SECONDS
        first = 0.0 if self.terminal else self.started + _FIRST_LINE_SECONDS
        if now < (first if self.last is None else self.last + pause):
            return
        self.last = now
        assert self.stage is not None
        text, fraction = status()
        left = self.left(fraction, now) if fraction else None
        name, times = f"{named_stages([self.stage])}: ", f", {duration(now - self.started)} so far"
        if left is not None:
            times += f", {duration(left)} left"
        if self.terminal:
            self.flush()
            clock = f"{time.strftime('%H:%M:%S')} "
            width = _columns(self.stream) - 1
            room = max(0, width - len(clock + name + times))
            if len(text) > room:  # what is done says more than where
                text = "..." + text[len(text) - room + 3 :] if room > 3 else ""
            self._print(_ERASE_LINE + (clock + name + text + times)[:width])
            self._open = True
        else:
            self.line(name + text + times)

    def _print(self, text: str) -> None:
        if text.endswith("\n"):
            self.clear()
        self.stream.write(text)
        self.stream.flush()

    def _next(self, stage: Stage) -> str:
        place = self.names.index(stage.name) + 1
        more = place < len(self.names)
        return f"; next: {self.go_on} --stage {self.names[place]}" if more else ""


def _columns(stream: IO[str]) -> int:
    import os

    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
