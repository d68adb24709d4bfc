"""Where a recording comes from: a file, a pipe, bytes, or an open binary file."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from espnet_otreg.errors import UserError

AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


@dataclass(frozen=True)
class Source:
    """The content of a recording.

    Attributes:
        content: all of its bytes.
        name: for messages: a path, or what else it is.
        suffix: of its file name in lower case, ``".g722"``; empty if there is none.
    """

    content: bytes
    name: str
    suffix: str = ""


def is_source(value: object) -> bool:
    """Whether this is something that :func:`read_source` can read.

    >>> is_source("a.wav"), is_source(b"RIFF"), is_source(1.5)
    (True, True, False)
    """
    kinds = (str, os.PathLike, bytes, bytearray, memoryview)
    return isinstance(value, kinds) or callable(getattr(value, "read", None))


def _from_file(file: Any) -> Source:
    name = getattr(file, "name", None)
    shown = name if isinstance(name, str) else f"the given {type(file).__name__}"
    if isinstance(file, io.TextIOBase):
        raise UserError("the file is open as text", shown, "open it with mode 'rb'")
    try:
        content = file.read()
    except ValueError as error:  # closed, or open for writing only
        raise UserError(
            f"the file cannot be read ({error})", shown, "open it with mode 'rb'"
        ) from error
    if not isinstance(content, bytes):
        raise UserError(
            f"reading gives {type(content).__name__}, not bytes", shown, "open it with mode 'rb'"
        )
    return Source(content, shown, Path(name).suffix.lower() if isinstance(name, str) else "")


def read_source(source: AudioSource) -> Source:
    """Read all of a recording's bytes.

    Pipes (``/dev/stdin``, ``/dev/fd/63`` of a process substitution, ``sys.stdin.buffer``) can be
    read once only; an open file is read from where it stands.

    Args:
        source: a path, bytes, or a binary file.

    Raises:
        UserError: if it is none of these.
        OSError: if it cannot be opened or read.

    >>> read_source(b"RIFF").content
    b'RIFF'
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Source(bytes(source), "the given bytes")
    if isinstance(source, (str, os.PathLike)):
        if not os.fspath(source) or "\0" in str(source):
            raise UserError("this is the path of no file", repr(source), "check the path")
        path = Path(source)
        return Source(path.read_bytes(), str(path), path.suffix.lower())
    if callable(getattr(source, "read", None)):
        return _from_file(source)
    raise UserError(f"expected a path, bytes or a binary file, found {type(source).__name__}")
