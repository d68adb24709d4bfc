"""A bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts work done towards a total, on stderr.

    Args:
        name: what is being done.
        total: number of units.
        unit: their name.

    >>> progress = Progress("features", 2, "utterances")
    >>> progress.advance(2)
    >>> progress.close()
    """

    def __init__(self, name: str, total: int, unit: str) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._done = 0
        self._start = self._last = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=name, unit=unit)

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
