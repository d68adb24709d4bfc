"""Ogg: pages that must be whole and follow each other, and the streams chained in a file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from espnet_otreg.data.audio.decoded import damaged, truncated

_FIRST, _LAST = 2, 4  # flags of a page
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def page_checksum(page: bytes) -> int:
    """The CRC-32 of a page whose checksum field is zero: polynomial 0x04c11db7, most significant
    bit first, started at zero. ``zlib`` computes the same least significant bit first.

    >>> hex(page_checksum(b"OggS"))
    '0x5fb0a94f'
    """
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


@dataclass(frozen=True)
class OggLink:
    """One stream of a chain.

    Attributes:
        start, end: its bytes in the file.
        serial: number of the stream.
        head: content of its first page, which says what coding it is.
        granules: position that its last page declares; samples in most codings.
        streams: how many are multiplexed in it.
    """

    start: int
    end: int
    head: bytes
    granules: int
    streams: int

    @property
    def coding(self) -> str:
        """``"vorbis"``, ``"opus"``, ``"flac"``, ``"speex"``, or ``""`` for another."""
        for coding, magic in (
            ("vorbis", b"\x01vorbis"),
            ("opus", b"OpusHead"),
            ("flac", b"\x7fFLAC"),
            ("speex", b"Speex   "),
        ):
            if self.head.startswith(magic):
                return coding
        return ""

    def preskip(self) -> int:
        """Samples at 48 kHz that an Opus decoder drops at the beginning."""
        return int.from_bytes(self.head[10:12], "little") if self.coding == "opus" else 0


def ogg_links(content: bytes, name: str) -> list[OggLink]:
    """The streams of an Ogg file, one after another.

    Raises:
        UserError: if a page is cut, changed or missing, or a stream has no last page.
    """
    links: list[OggLink] = []
    place = start = 0
    head, streams = b"", 0
    open_streams: dict[int, int] = {}  # serial number -> number of the next page
    granules: dict[int, int] = {}
    first_serial = 0
    while place < len(content):
        if not content.startswith(b"OggS", place):
            if links and not open_streams and not content[place:].strip(b"\0"):
                break
            raise damaged(name, f"no Ogg page begins at byte {place}")
        segments = content[place + 26] if place + 26 < len(content) else 0
        body = place + 27 + segments
        end = body + sum(content[place + 27 : body])
        if place + 27 > len(content) or end > len(content):
            raise truncated(name, "its last Ogg page is not whole")
        page = content[place : place + 22] + b"\0\0\0\0" + content[place + 26 : end]
        if page_checksum(page) != int.from_bytes(content[place + 22 : place + 26], "little"):
            raise damaged(name, f"wrong checksum of the Ogg page at byte {place}")
        flags, serial = (
            content[place + 5],
            int.from_bytes(content[place + 14 : place + 18], "little"),
        )
        number = int.from_bytes(content[place + 18 : place + 22], "little")
        if flags & _FIRST:
            if not open_streams:
                start, head, streams, first_serial = place, content[body:end], 0, serial
            open_streams[serial] = number
            streams += 1
        if serial not in open_streams:
            raise damaged(name, f"the beginning of an Ogg stream is missing before byte {place}")
        if number != open_streams[serial]:
            raise damaged(name, f"an Ogg page is missing before byte {place}")
        open_streams[serial] = number + 1
        position = int.from_bytes(content[place + 6 : place + 14], "little", signed=True)
        if position >= 0:
            granules[serial] = position
        place = end
        if flags & _LAST:
            del open_streams[serial]
            if not open_streams:
                links.append(OggLink(start, place, head, granules.get(first_serial, 0), streams))
    if open_streams:
        raise truncated(name, "its last Ogg page is missing")
    return links
