"""Tables of error rates, for a terminal or for Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from espnet_otreg.scoring.trn import display_width

NOTE_WIDTH = 100


@dataclass(frozen=True)
class Table:
    """A title, a header, lines of cells, and notes below; ``names`` columns stand to the left."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1

    def text(self) -> str:
        """For a terminal: names to the left, numbers to the right.

        >>> print(Table("WER", ("arm", "en"), (("control", "9.5"),)).text())
        WER
        arm       en
        control  9.5
        """
        columns = zip(self.header, *self.lines, strict=True)
        widths = [max(map(display_width, column)) for column in columns]

        def aligned(cells: Sequence[str]) -> str:
            padded = [
                cell + blank if column < self.names else blank + cell
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
                for blank in [" " * (width - display_width(cell))]
            ]
            return "  ".join(padded).rstrip()

        notes = [line for note in self.notes for line in textwrap.wrap(note, NOTE_WIDTH)]
        return "\n".join([self.title, aligned(self.header), *map(aligned, self.lines), *notes])

    def markdown(self) -> str:
        """For Markdown, the title in bold.

        >>> print(Table("WER", ("arm", "en"), (("control", "9.5"),)).markdown())
        **WER**
        <BLANKLINE>
        | arm | en |
        |---|---:|
        | control | 9.5 |
        """
        rule = "|---" * self.names + "|---:" * (len(self.header) - self.names) + "|"

        def joined(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        lines = [f"**{self.title}**", "", joined(self.header), rule, *map(joined, self.lines)]
        return "\n".join(lines + [part for note in self.notes for part in ("", note)])
