"""The archive of Flight of the Amazon Queen: its files, and the texts inside them that are spoken.

Numbers are big-endian. What the parts mean is documented by ScummVM, whose repacked file this is
(``queen.1c``: speech as MP3).
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from espnet_otreg.errors import UserError

_MAGIC = b"QTBL"
_MP3 = 1  # the coding of the speech, of four that there may be
_TABLE = 13  # where the table of files begins
_ENTRY = 21  # bytes: name of 12, one for the volume, offset, size
_HEADER = 20  # bytes before the content of dialogues, cutaways and the main table
_RESPONSES = 40  # of the hero to what does not work
_VERBS = 12
_ENCODING = "cp437"
# "*24" and "*FL" name a gesture or direction, "*XY00(237,112)" also a place to walk to.
_COMMAND = re.compile(r"\*(?:XY\d\d\(\d+,\d+\)|.{2})")


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A text that the game speaks.

    Attributes:
        prefix: of the names of its clips; each segment has one more digit.
        text: with the commands that divide it into segments.
        speaker: who says it; empty if the file does not tell.
    """

    prefix: str
    text: str
    speaker: str

    def clips(self) -> Iterator[tuple[str, str]]:
        """Name and words of the clip of each segment, counted as the game counts them.

        >>> list(Spoken("020006J", "Tsk tsk.*03Go on!*24", "joe").clips())
        [('020006J1.SB', 'Tsk tsk.'), ('020006J2.SB', 'Go on!')]
        """
        for number, segment in enumerate(_COMMAND.split(self.text), start=1):
            words = " ".join(segment.split())
            if words and number < 16:
                yield f"{self.prefix}{number:X}.SB", words


def _damaged(path: Path) -> UserError:
    return UserError("the game's archive is damaged", str(path), "fetch the package again")


def read_members(path: str | Path) -> dict[str, bytes]:
    """The files of ``queen.1c`` by name.

    Raises:
        UserError: if it is not the known version, or not whole.
    """
    path = Path(path)
    content = path.read_bytes()
    if content[:4] != _MAGIC or content[_TABLE - 1 : _TABLE] != bytes([_MP3]):
        raise UserError("not queen.1c with MP3 speech", str(path), "fetch the package again")
    members = {}
    try:
        (count,) = struct.unpack_from(">H", content, _TABLE)
        for number in range(count):
            place = _TABLE + 2 + number * _ENTRY
            name, offset, size = struct.unpack_from(">12sxII", content, place)
            if offset + size > len(content):
                raise _damaged(path)
            members[name.split(b"\0")[0].decode("ascii")] = content[offset : offset + size]
    except (struct.error, UnicodeDecodeError) as error:
        raise _damaged(path) from error
    return members


class _Reader:
    """Numbers and texts of one file, read one after another."""

    def __init__(self, content: bytes, place: int = 0) -> None:
        self.content, self.place = content, place

    def number(self) -> int:
        (value,) = struct.unpack_from(">h", self.content, self.place)
        self.place += 2
        return int(value)

    def text(self, align: int = 2) -> str:
        """A length in a byte and as many characters, filled up to a multiple of ``align`` bytes."""
        length = self.content[self.place]
        start = self.place + 1
        self.place = start + length
        if length:
            self.place += -self.place % align
        return self.content[start : start + length].decode(_ENCODING)


def _dialogue(name: str, content: bytes) -> Iterator[Spoken]:
    """Texts of a ``.DOG`` file: what the hero can say, and what the person answers."""
    header = struct.unpack_from(">14h", content)
    levels, key, of_joe, of_person = abs(header[0]), header[2], header[3], header[4]
    person, second = header[11] & 0xFFFF, header[13] & 0xFFFF
    speaker = re.sub(r"\d*\.DOG$", "", name).lower()
    joe = 32 + 96 * levels
    first = _Reader(content, joe + 2)
    if not first.number():  # what the hero says when they have not met
        yield Spoken(f"{key:02d}SSSSJ", first.text(), "joe")
    again = _Reader(content, second)  # what both say when they meet again
    yield Spoken(f"{key:02d}XXXXP", again.text(), speaker)
    yield Spoken(f"{key:02d}XXXXJ", again.text(), "joe")
    for place, count, who, letter in (
        (joe, of_joe, "joe", "J"),
        (person, of_person, speaker, "P"),
    ):
        reader = _Reader(content, place)
        for _ in range(count):
            reader.place += 2
            number = reader.number()
            text = reader.text(align=4)
            if number >= 0:
                yield Spoken(f"{key:02d}{number:04X}{letter}", text, who)


def _cutaway(name: str, content: bytes) -> Iterator[Spoken]:
    """Texts of a ``.CUT`` file, one for each of its objects; an entry text comes before them."""
    header = struct.unpack_from(">6h", content)
    reader = _Reader(content, header[4] & 0xFFFF)
    reader.text()
    basename = name.removesuffix(".CUT").ljust(5, "_")
    for number in range(1, abs(header[1]) + 1):
        # Two stars in front say that the text stays on the screen; they are no command.
        yield Spoken(f"{basename}{number:02d}", reader.text().removeprefix("**"), "")


def _descriptions(table: bytes, texts: bytes) -> Iterator[Spoken]:
    """What the hero says of things, and his answers where nothing happens."""
    rooms, names, _, count = struct.unpack_from(">4h", table)
    lines = texts.decode(_ENCODING).split("\r\n")
    start = count + names + rooms + _VERBS
    spoken = [*lines[start : start + _RESPONSES], *lines[:count]]
    for number, line in enumerate(spoken, start=1):
        yield Spoken(f"JOE{number:04d}", line, "joe")


def spoken_texts(members: Mapping[str, bytes], path: Path) -> list[Spoken]:
    """Every text of the game that may have clips, in a fixed order.

    Args:
        members: see :func:`read_members`.
        path: of the archive, for messages.

    Raises:
        UserError: if a file is not as expected.
    """
    spoken: list[Spoken] = []
    try:
        for name in sorted(members):
            if name.endswith(".DOG"):
                spoken += _dialogue(name, members[name][_HEADER:])
            elif name.endswith(".CUT"):
                spoken += _cutaway(name, members[name][_HEADER:])
        spoken += _descriptions(members["QUEEN.JAS"][_HEADER:], members["QUEEN2.JAS"])
    except (struct.error, IndexError, KeyError) as error:
        raise _damaged(path) from error
    return spoken
