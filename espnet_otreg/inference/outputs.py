"""Transcripts as text or JSON, on standard output or in a file that is whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from espnet_otreg.files import atomic_write

FORMATS = {
    "txt": "the text; of several recordings with file name and tab in front",
    "json": "an array of objects, when all is done",
    "jsonl": "an object a line, as soon as it is known",
}
_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Result:
    """What became of one recording; the fields of the JSON formats.

    Attributes:
        file: its name as it was given.
        text: the transcript, None if it failed.
        language: canonical code, or ``default``.
        language_probability: of the language if it was identified.
        seconds: duration.
        error: a sentence if it failed.
    """

    file: str
    text: str | None = None
    language: str | None = None
    language_probability: float | None = None
    seconds: float | None = None
    error: str | None = None


def text_line(result: Result, with_name: bool) -> str:
    r"""A result as one line of text; line breaks and tabs in the transcript become spaces.

    Args:
        result: with a text.
        with_name: put the file's name in front; line breaks and the like in it are written as
            ``\n`` or ``\x85``, bytes that are not UTF-8 as ``\xff``.

    >>> text_line(Result("a\n.wav", "one\ntwo"), with_name=True)
    'a\\n.wav\tone two'
    """
    text = _BREAKS.sub(" ", result.text or "")
    return f"{printable(result.file)}\t{text}" if with_name else text


def printable(name: str) -> str:
    r"""A file name in one line that can be written as UTF-8.

    >>> printable("caffè.wav"), printable("a\tb"), printable(os.fsdecode(b"\xff.wav"))
    ('caffè.wav', 'a\\tb', '\\xff.wav')
    """

    def escaped(match: re.Match[str]) -> str:
        code = ord(match[0])
        if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python keeps it
            return f"\\x{code - 0xDC00:02x}"
        return match[0].encode("unicode_escape").decode("ascii")

    return _UNPRINTABLE.sub(escaped, name)


def json_object(result: Result) -> str:
    """A result as JSON on one line.

    >>> json_object(Result("a.wav", error="a.wav: no such file"))[:40]
    '{"file": "a.wav", "text": null, "languag'
    """
    values: dict[str, Any] = vars(result)
    if result.seconds is not None:
        values = {**values, "seconds": round(result.seconds, 3)}
    text = json.dumps(values, ensure_ascii=False)
    # A name that is no UTF-8 can be told in JSON by an escape only.
    return json.dumps(values) if re.search("[\ud800-\udfff]", text) else text


@contextlib.contextmanager
def writer(kind: str, output: str | None, several: bool) -> Iterator[Callable[[Result], None]]:
    """A function that writes results, one after the other.

    Args:
        kind: one of :data:`FORMATS`.
        output: a file, which appears when all is done; None for standard output.
        several: whether there may be more than one.

    Raises:
        OSError: if the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(atomic_write(output)) if output else _stdout()
        objects: list[str] = []

        def write(result: Result) -> None:
            if kind == "json":
                objects.append(json_object(result))
            elif kind == "jsonl":
                print(json_object(result), file=file, flush=True)
            elif result.error is None:
                print(text_line(result, several), file=file, flush=True)

        yield write
        if kind == "json":
            print("[", ",\n".join(objects), "]", sep="\n", file=file, flush=True)


def _stdout() -> Any:
    """Standard output in UTF-8, whatever the locale: the texts are in any script."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8")
    return sys.stdout


@contextlib.contextmanager
def quiet_about_closed_pipe() -> Iterator[None]:
    """Whoever reads standard output may stop (``| head``): the status is that of SIGPIPE."""
    try:
        yield
    except BrokenPipeError:
        # Python would complain when it flushes the rest at its end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
