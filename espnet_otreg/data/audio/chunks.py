"""The chunks of RIFF, RF64, W64, AIFF and CAF, and where their samples really end."""

from __future__ import annotations

import re
from dataclasses import dataclass

from espnet_otreg.data.audio.decoded import damaged, truncated
from espnet_otreg.errors import UserError

# What programs write that cannot come back to the header: 0, -1, 2**31 - 1, and values a little
# below 2**31 (sox and mplayer leave room for the header).
_PLACEHOLDER = 0x7F000000
_FRAME_SECONDS = 0.02  # what is shorter than a frame of an encoder carries no speech
_BEGINNINGS = re.compile(
    rb"(?:RIFF|RIFX|RF64|BW64).{4}WAVE|FORM.{4}AIF[FC]|\.snd\0\0\0[\x18-\xff]|"
    rb"caff\0\x01..desc|NIST_1A\n|riff\x2e\x91\xcf\x11|fLaC\0\0\0\x22|OggS\0\x02|"
    rb"TTA1[\x01-\x03]\0|FLV\x01[\x04\x05]\0\0\0\x09",
    re.DOTALL,
)
# Names of chunks of RIFF and AIFF that are met, to see where the next one begins.
_NAMES = frozenset(
    b"fmt |data|fact|LIST|PEAK|bext|iXML|JUNK|junk|cue |smpl|inst|id3 |ID3 |PAD |_PMX|"
    b"COMM|SSND|FVER|MARK|INST|NAME|AUTH|ANNO|(c) |COMT|APPL|AESD|MIDI".split(b"|")
)
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")


@dataclass(frozen=True)
class Layout:
    """How a family of formats writes a chunk.

    Attributes:
        id_bytes: of the name.
        size_bytes: of the size that follows it.
        order: byte order of numbers.
        padding: chunks begin at multiples of this many bytes.
        counts_header: whether the size includes name and size themselves.
        first: where the first chunk begins.
    """

    id_bytes: int
    size_bytes: int
    order: str
    padding: int
    counts_header: bool
    first: int

    def number(self, content: bytes, start: int, size: int | None = None) -> int:
        """The unsigned number at a place."""
        end = start + (size or self.size_bytes)
        return int.from_bytes(content[start:end], self.order)  # type: ignore[arg-type]


RIFF = Layout(4, 4, "little", 2, False, 12)
RIFX = Layout(4, 4, "big", 2, False, 12)
W64 = Layout(16, 8, "little", 8, True, 40)
AIFF = Layout(4, 4, "big", 2, False, 12)
CAF = Layout(4, 8, "big", 1, False, 8)


@dataclass(frozen=True)
class Chunk:
    """A chunk: where its content begins, and how long it says it is."""

    name: bytes
    start: int
    size: int


def _header(content: bytes, place: int, layout: Layout) -> Chunk:
    name = content[place : place + layout.id_bytes]
    start = place + layout.id_bytes + layout.size_bytes
    size = layout.number(content, place + layout.id_bytes)
    return Chunk(name[:4], start, size - (start - place if layout.counts_header else 0))


def _next_place(content: bytes, end: int, layout: Layout) -> int:
    """Where the chunk behind one that ends at a place begins; some programs forget the padding."""
    padded = end + -end % layout.padding
    here, there = content[end : end + 4], content[padded : padded + 4]
    return end if here in _NAMES and there not in _NAMES else padded


def _end_of_chunks(content: bytes, place: int, layout: Layout, samples: bytes, name: str) -> int:
    """Where the chunks with printable names end that begin at a place, none of them samples."""
    head = layout.id_bytes + layout.size_bytes
    while len(content) - place >= head:
        chunk = _header(content, place, layout)
        end = chunk.start + chunk.size
        if not all(32 <= byte < 127 for byte in chunk.name) or not place < end <= len(content):
            break
        if chunk.name == samples and chunk.size:
            raise UserError(
                f"a second chunk of samples begins at byte {place}", name, "convert the file again"
            )
        place = _next_place(content, end, layout)
    return min(place, len(content))


def _is_tag_or_padding(tail: bytes, rate_bytes: float) -> bool:
    """Whether what follows the samples is a tag, text, zeros, or too short to be audio."""
    if len(tail) < rate_bytes * _FRAME_SECONDS or tail.startswith(_TAGS):
        return True
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n\0" for byte in tail[:4096])
    return printable == len(tail[:4096])


def begins_recording(content: bytes) -> bool:
    """Whether these are the first bytes of a file that says what it is.

    >>> begins_recording(b"fLaC\\0\\0\\0\\x22"), begins_recording(b"\\x7f" * 12)
    (True, False)
    """
    return _BEGINNINGS.match(content) is not None


def refuse_another(content: bytes, place: int, name: str) -> None:
    """Raise if a second recording begins at or behind a place: of two only one would be used.

    Raises:
        UserError: in that case.
    """
    found = _BEGINNINGS.search(content, place)
    if found:
        raise UserError(
            f"a second recording begins at byte {found.start()} of the file",
            name,
            "write each to a file of its own",
        )


def find_chunks(
    content: bytes, layout: Layout, samples: bytes, needed: tuple[bytes, ...], name: str
) -> dict[bytes, Chunk]:
    """The chunks up to the one with the samples, and others that are needed where they lie after.

    Args:
        content: of the file.
        layout: of its chunks.
        samples: name of the chunk with the samples.
        needed: names of chunks that may follow it.
        name: of the file, for messages.

    Raises:
        UserError: if the file ends before.
    """
    found: dict[bytes, Chunk] = {}
    place = layout.first
    head = layout.id_bytes + layout.size_bytes
    while place + head <= len(content):
        chunk = _header(content, place, layout)
        found.setdefault(chunk.name, chunk)
        if samples in found and all(other in found for other in needed):
            break
        if chunk.size < 0:
            raise damaged(name, f"chunk {chunk.name!r} has no size")
        place = _next_place(content, chunk.start + chunk.size, layout)
    missing = [other.decode("latin-1") for other in (*needed, samples) if other not in found]
    if missing:
        raise truncated(name, f"no chunk '{missing[0]}'")
    return found


@dataclass(frozen=True)
class Extent:
    """How many bytes of samples there are, and whether the file itself says so."""

    size: int
    declared: bool


@dataclass(frozen=True)
class Samples:
    """The chunk with the samples, and what is known of it.

    Attributes:
        content: of the file.
        chunk: where they begin, and how many bytes they say they are.
        layout: of the chunks that may follow; None if none can.
        outer_end: where the outer size (RIFF, FORM) says that the file ends, if there is one.
        block: bytes of the smallest piece that can be decoded.
        rate_bytes: bytes for a second of sound.
        name: of the file, for messages.
    """

    content: bytes
    chunk: Chunk
    layout: Layout | None
    outer_end: int | None
    block: int
    rate_bytes: float
    name: str

    def measure(self) -> Extent:
        """Where the samples end, by all that the file declares and by what it holds.

        A size of 0 with bytes behind it, -1 and values near 2**31 stand for "unknown": the samples
        go to the end of the file. A size beyond the end of the file is a truncated file, unless the
        outer size is that of the file: then only this one number is wrong. What follows the
        declared samples must be chunks, a tag, text or nothing; else it belongs to the samples if
        the outer size is that of the file, or the format has no chunks.

        Raises:
            UserError: if the file is truncated, holds a second recording, samples in several
                chunks, or something unknown.
        """
        room = len(self.content) - self.chunk.start
        if room < 0:
            raise truncated(self.name, f"its samples begin at byte {self.chunk.start}")
        if self.chunk.size > room:
            if self.chunk.size < _PLACEHOLDER and not self._fits():
                raise truncated(
                    self.name, f"{room} of {self.chunk.size} bytes of samples are there"
                )
            return self._to_the_end()
        end = self.chunk.start + self.chunk.size
        if self.layout is None:
            return Extent(self.chunk.size, True) if end == len(self.content) else self._to_the_end()
        refuse_another(self.content, end, self.name)
        places = {end, end + -end % self.layout.padding}
        rest = max(
            _end_of_chunks(self.content, place, self.layout, self.chunk.name, self.name)
            for place in places
        )
        tail = self.content[rest:]
        if not tail:
            return Extent(self.chunk.size, True)
        if not self.chunk.size or self._fits() or self._is_cut():
            return self._to_the_end()
        if not _is_tag_or_padding(tail, self.rate_bytes):
            raise UserError(
                f"{len(tail)} bytes follow the samples that the header declares, and nothing says "
                "what they are",
                self.name,
                "convert the file again, or cut them off",
            )
        return Extent(self.chunk.size, True)

    def _fits(self) -> bool:
        """Whether the outer size is that of the file, the last byte of padding left open."""
        return self.outer_end is not None and len(self.content) - self.outer_end in (0, 1)

    def _is_cut(self) -> bool:
        """Whether the outer size is a real one, and beyond the end of the file."""
        outer = self.outer_end or 0
        return len(self.content) < outer < _PLACEHOLDER

    def _to_the_end(self) -> Extent:
        if self._is_cut():
            raise truncated(self.name, f"{len(self.content)} of {self.outer_end} bytes are there")
        refuse_another(self.content, self.chunk.start, self.name)
        room = len(self.content) - self.chunk.start
        rest = room % self.block
        if rest and self.content[len(self.content) - rest :].strip(b"\0"):
            raise truncated(
                self.name, f"{room} bytes are no whole number of samples of {self.block} bytes"
            )
        return Extent(room - rest, self._fits())
