"""Tables of publishers: tab-separated, a header, no quoting."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.utf8 import not_utf8


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1; only ``\\n`` ends a line.

    Sentences of volunteers hold characters at which ``str.splitlines`` would cut them.

    Raises:
        UserError: if the file is missing or not UTF-8.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "transcripts.txt"
    >>> _ = path.write_text("a\\tone\\u2028two\\n\\nb\\tthree\\n", encoding="utf-8")
    >>> list(read_lines(path))
    [(1, 'a\\tone\\u2028two'), (3, 'b\\tthree')]
    """
    if not Path(path).is_file():
        raise UserError("the file is missing", str(path), "copy or download the corpus again")
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if content := line.rstrip("\r\n"):
                    yield number, content
    except UnicodeDecodeError as error:
        raise not_utf8(Path(path).read_bytes()[:4096], str(path)) from error


def read_columns(path: str | Path, count: int) -> Iterator[list[str]]:
    """The cells of every line of a table without a header.

    Raises:
        UserError: as :func:`read_lines`, or if a line has another number of cells.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "transcripts.txt"
    >>> _ = path.write_text('1_2_3\\tsaid "no\\n', encoding="utf-8")
    >>> list(read_columns(path, 2))
    [['1_2_3', 'said "no']]
    """
    for number, line in read_lines(path):
        cells = line.split("\t")
        if len(cells) != count:
            raise UserError(
                f"expected {count} columns with tabs between them, found {len(cells)}",
                f"{path}:{number}",
                "copy or download the corpus again",
            )
        yield cells


def read_rows(path: str | Path, needed: Collection[str]) -> Iterator[dict[str, str]]:
    """The rows of a table whose first line names its columns, as ``csv.QUOTE_NONE`` reads them.

    A quotation mark is a character like any other. Columns are found by name, because their
    number and order change from release to release.

    Args:
        path: the table.
        needed: columns without which it cannot be used.

    Raises:
        UserError: as :func:`read_lines`; if a column is missing; if a line has another number of
            cells than the header.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "test.tsv"
    >>> _ = path.write_text('path\\tsentence\\na.mp3\\t"No" way\\n', encoding="utf-8")
    >>> list(read_rows(path, ["sentence"]))
    [{'path': 'a.mp3', 'sentence': '"No" way'}]
    """
    lines = read_lines(path)
    _, first = next(lines, (1, ""))
    header = first.split("\t")
    absent = sorted(set(needed) - set(header))
    if absent:
        raise UserError(
            f"the header has no column '{absent[0]}', only: {', '.join(header)}",
            f"{path}:1",
            "give the publisher's own file",
        )
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise UserError(
                f"{len(cells)} columns, but {len(header)} in the header",
                f"{path}:{number}",
                "copy or download the corpus again",
            )
        yield dict(zip(header, cells, strict=True))


def to_number(text: str, path: str | Path) -> float:
    """A number in a table.

    Raises:
        UserError: if it is none.

    >>> to_number("12.5", "segments.txt")
    12.5
    """
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"'{text}' is not a number", str(path), "copy or download the corpus again"
        ) from None
