"""How far work is: a bar on a terminal, lines in a log, and what such a line says."""

from __future__ import annotations

import dataclasses
import re
import sys
import time

_SECONDS_BETWEEN_LINES = 10.0
_LINE = re.compile(r"^(.+): (\d+)/(\d+) (\S+), \d+ s$", flags=re.MULTILINE)


class Progress:
    """Counts work done towards a total, on stderr.

    Args:
        name: what is being done.
        total: number of units.
        unit: their name.
        done: units that an earlier run has done.
        bar: whether a terminal shows a bar; lines otherwise, as in a log.

    >>> progress = Progress("features", 2, "utterances")
    >>> progress.advance(2)
    >>> progress.close()
    """

    def __init__(self, name: str, total: int, unit: str, done: int = 0, bar: bool = True) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._done = done
        self._start = self._last = time.monotonic()
        self._bar = None
        if bar and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=name, unit=unit)

    def advance(self, count: int) -> None:
        """Say that ``count`` more units are done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._print_line()

    def _print_line(self) -> None:
        self._last = time.monotonic()
        seconds = self._last - self._start
        print(
            f"{self._name}: {self._done}/{self._total} {self._unit}, {seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Finish the bar, or print the last line."""
        if self._bar is not None:
            self._bar.close()
        else:
            self._print_line()


@dataclasses.dataclass(frozen=True)
class ProgressLine:
    """What a line of :class:`Progress` in a log says."""

    name: str
    done: int
    total: int
    unit: str

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0


def last_progress(text: str) -> ProgressLine | None:
    """The last line of :class:`Progress` in a text, if there is one.

    >>> last_progress("features: 1/8 utterances, 3 s\\nfeatures: 2/8 utterances, 6 s\\nmore\\n")
    ProgressLine(name='features', done=2, total=8, unit='utterances')
    """
    found = _LINE.findall(text)
    if not found:
        return None
    name, done, total, unit = found[-1]
    return ProgressLine(name, int(done), int(total), unit)
