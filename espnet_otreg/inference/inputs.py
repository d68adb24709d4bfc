"""Which recordings are meant by what a command line names."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet_otreg.data.languages import AUTO, canonical_language
from espnet_otreg.errors import UserError

# What is taken from directories and patterns; a file that is named itself may be called anything.
AUDIO_SUFFIXES = frozenset(
    ".3gp .aac .ac3 .aif .aifc .aiff .als .amr .ape .au .awb .caf .flac .g722 .gsm .m4a .m4b .mka "
    ".mkv .mov .mp2 .mp3 .mp4 .mpga .nist .oga .ogg .ogv .opus .ra .rf64 .snd .sph .spx .tta .voc "
    ".w64 .wav .wave .webm .wma .wv".split()
)
STDIN = "-"


@dataclass(frozen=True)
class Input:
    """A recording that is asked for.

    Attributes:
        file: its name, as it stands in the results.
        language: what is said of it alone; None where the command's language holds.
    """

    file: str
    language: str | None = None

    def open(self) -> Any:
        """What the audio reader takes: a path, or standard input."""
        return sys.stdin.buffer if self.file == STDIN else Path(self.file)


def find_inputs(arguments: Sequence[str], list_file: str | None) -> list[Input]:
    """The recordings of a command line, in its order.

    A directory stands for all recordings in it and below, hidden ones excepted, a pattern
    (``'calls/*.mp3'``, ``**`` for any depth) for those that it matches, both sorted by name; ``-``
    is standard input. The recordings of the list come last. A file that does not exist is kept:
    reading it says so.

    Args:
        arguments: files, directories, patterns and ``-``.
        list_file: see :func:`read_list`.

    Raises:
        UserError: if there is nothing in a directory, a pattern or the list, or if standard input
            is asked for twice.
    """
    if [*arguments, list_file].count(STDIN) > 1:
        raise UserError("standard input can be read once only", STDIN, "name it once")
    found = [Input(file) for argument in arguments for file in _expanded(argument)]
    return found if list_file is None else found + read_list(list_file)


def _expanded(argument: str) -> list[str]:
    if not argument:
        raise UserError("the name of a recording is empty", "", "give a file, a directory or '-'")
    if argument == STDIN:
        return [STDIN]
    if os.path.isdir(argument):
        files = _below(argument)
        if not files:
            raise UserError("no recording in this directory", argument, "name the files themselves")
        return files
    if os.path.lexists(argument) or not glob.has_magic(argument):
        return [argument]
    matched = sorted(glob.glob(argument, recursive=True))
    # A pattern may match directories too; those under "**" are matched by their files as well.
    several = {file: None for path in matched for file in _matched(path)}
    if not several:
        raise UserError("nothing matches this pattern", argument, "check it, and where you are")
    return list(several)


def _matched(path: str) -> list[str]:
    return _below(path) if os.path.isdir(path) else [path]


def _below(directory: str) -> list[str]:
    """The recordings in a directory and below; links to directories are not followed."""
    files: list[str] = []
    for place, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        files += [
            os.path.join(place, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES
        ]
    return sorted(files)


def read_list(path: str) -> list[Input]:
    """Recordings from a file: one path a line, or ``<path> TAB <language>``.

    Paths are relative to the current directory, as in Kaldi's tables. A byte order mark, carriage
    returns and empty lines do not matter. ``-`` reads the list from standard input.

    Raises:
        UserError: if a line has more than two fields or no path, a language is none, or there is no
            line at all.
        OSError: if the file cannot be read.
    """
    content = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError("the list is in UTF-16", path, "save it as UTF-8")
    found: list[Input] = []
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        # File names are bytes; those that are not UTF-8 are kept as Python keeps them.
        line = os.fsdecode(raw.rstrip(b"\r"))
        if line.strip():
            found.append(_listed(line, f"{path}:{number}"))
    if not found:
        raise UserError("no recording in this list", path, "write one path a line")
    return found


def _listed(line: str, where: str) -> Input:
    file, *rest = line.split("\t")
    if not file.strip() or len(rest) > 1:
        raise UserError(
            f"expected '<path>' or '<path> TAB <language>', found {line[:60]!r}",
            where,
            "correct the line",
        )
    language = rest[0].strip() if rest else ""
    key, _, value = file.partition(" ")
    if not os.path.lexists(file) and os.path.lexists(value.strip()):
        raise UserError(f"no such file, but there is {value.strip()}", where, f"remove {key!r}")
    if not language:
        return Input(file)
    if language.lower() != AUTO:
        try:
            language = canonical_language(language)
        except UserError as error:
            raise UserError(error.what, where, error.mend) from error
    return Input(file, language.lower())
