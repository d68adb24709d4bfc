"""The chunks of RIFF, RF64, W64, AIFF and CAF, and where their samples really end."""

from __future__ import annotations

from dataclasses import dataclass

from espnet_otreg.data.audio.decoded import damaged, truncated

# What programs write that cannot come back to the header: 0, -1, 2**31 - 1, and values a little
# below 2**31 (sox and mplayer leave room for the header).
_PLACEHOLDER = 0x7F000000
_FRAME_SECONDS = 0.02  # what is shorter than a frame of an encoder carries no speech
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


def _is_chain(content: bytes, place: int, layout: Layout) -> bool:
    """Whether chunks with printable names fill the file from here to its end."""
    head = layout.id_bytes + layout.size_bytes
    while len(content) - place >= head:
        chunk = _header(content, place, layout)
        if not all(32 <= byte < 127 for byte in chunk.name) or chunk.size < 0:
            return False
        place = chunk.start + chunk.size
        if place > len(content):
            return False
        place += -place % layout.padding
    return not content[place:].strip(b"\0")


def _says_nothing(tail: bytes, rate_bytes: float) -> bool:
    """Whether what follows the samples is a tag, text, zeros, or too short to matter."""
    if len(tail) < rate_bytes * _FRAME_SECONDS or tail.startswith(_TAGS):
        return True
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n\0" for byte in tail[:4096])
    return printable == len(tail[:4096])


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
        place = chunk.start + chunk.size
        place += -place % layout.padding
    missing = [other.decode("latin-1") for other in (*needed, samples) if other not in found]
    if missing:
        raise truncated(name, f"no chunk '{missing[0]}'")
    return found


@dataclass(frozen=True)
class Extent:
    """How many bytes of samples there are, and whether the file itself says so."""

    size: int
    declared: bool


def measure(
    content: bytes,
    chunk: Chunk,
    *,
    layout: Layout | None,
    outer_end: int | None,
    block: int,
    rate_bytes: float,
    name: str,
) -> Extent:
    """Where the samples end, by all that the file declares and by what it holds.

    A size of 0 with bytes behind it, -1 and values near 2**31 stand for "unknown": the samples go
    to the end of the file. A size beyond the end of the file is a truncated file, unless the outer
    size (of RIFF or FORM) is that of the file: then only this one number is wrong. What follows the
    declared samples must be chunks, a tag, text or nothing; else it belongs to the samples.

    Args:
        content: of the file.
        chunk: with the samples.
        layout: of the chunks that may follow; None if none can.
        outer_end: where the outer size says that the file ends, if there is one.
        block: bytes of the smallest piece that can be decoded.
        rate_bytes: bytes for a second of sound.
        name: of the file, for messages.

    Raises:
        UserError: if the file is truncated.
    """
    room = len(content) - chunk.start
    if chunk.size > room:
        is_whole = outer_end is not None and len(content) - outer_end in (0, 1)
        if chunk.size < _PLACEHOLDER and not is_whole:
            raise truncated(name, f"{room} of {chunk.size} bytes of samples are there")
        return _to_the_end(content, chunk, block, is_whole, name)
    end = chunk.start + chunk.size
    padded = end + (-end % layout.padding if layout else 0)
    is_followed = layout is not None and any(
        _is_chain(content, place, layout) for place in (end, padded)
    )
    if is_followed or (chunk.size and _says_nothing(content[padded:], rate_bytes)):
        return Extent(chunk.size, True)
    return _to_the_end(content, chunk, block, False, name)


def _to_the_end(content: bytes, chunk: Chunk, block: int, declared: bool, name: str) -> Extent:
    room = len(content) - chunk.start
    rest = room % block
    if rest and content[len(content) - rest :].strip(b"\0"):
        raise truncated(name, f"{room} bytes are no whole number of samples of {block} bytes")
    return Extent(room - rest, declared)
