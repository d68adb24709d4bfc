"""Codings without a container: MP3, AAC in ADTS and AMR as the frames that they consist of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from espnet_otreg.data.audio.decoded import damaged, truncated

_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000,
               7350)  # fmt: skip
# Bytes behind the first one of each frame type; comfort noise is type 8 (9 for wide band).
_AMR_BYTES = {0: 12, 1: 13, 2: 15, 3: 17, 4: 19, 5: 20, 6: 26, 7: 31, 8: 5, 15: 0}
_AMR_WB_BYTES = {0: 17, 1: 23, 2: 32, 3: 36, 4: 40, 5: 46, 6: 50, 7: 58, 8: 60, 9: 5, 14: 0, 15: 0}
AMR_STARTS = {b"#!AMR-WB\n": 16000, b"#!AMR\n": 8000}


@dataclass(frozen=True)
class Frame:
    """One frame of a coding.

    Attributes:
        start, size: in bytes.
        samples: that it becomes, of each channel.
        rate: in hertz.
        channels: of it.
        kind: of the coding (version and layer); neighbours of another kind are another stream.
    """

    start: int
    size: int
    samples: int
    rate: int
    channels: int
    kind: tuple[int, int]


def mpeg_frame(content: bytes, place: int) -> Frame | None:
    """The MPEG-1, 2 or 2.5 audio frame, layers I to III, that begins at a place; None if none does.

    >>> mpeg_frame(b"\\xff\\xfb\\x90\\xc0", 0)
    Frame(start=0, size=417, samples=1152, rate=44100, channels=1, kind=(3, 3))
    """
    if len(content) - place < 4 or content[place] != 0xFF or content[place + 1] & 0xE0 != 0xE0:
        return None
    second, third, fourth = content[place + 1 : place + 4]
    version = (second >> 3) & 3  # 0 is MPEG-2.5, 2 is MPEG-2, 3 is MPEG-1
    layer = 4 - ((second >> 1) & 3)
    index, rate_index = third >> 4, (third >> 2) & 3
    if version == 1 or layer == 4 or index in (0, 15) or rate_index == 3:
        return None
    rate = (44100, 48000, 32000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    kbits = _KBITS[1 if version == 3 else 2, layer][index]
    padding = (third >> 1) & 1
    if layer == 1:
        samples, size = 384, (12000 * kbits // rate + padding) * 4
    else:
        samples = 576 if layer == 3 and version != 3 else 1152
        size = samples // 8 * 1000 * kbits // rate + padding
    return Frame(place, size, samples, rate, 1 if fourth >> 6 == 3 else 2, (version, layer))


def adts_frame(content: bytes, place: int) -> Frame | None:
    """The AAC frame in ADTS that begins at a place; None if none does."""
    head = content[place : place + 7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate_index = (head[2] >> 2) & 15
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate_index >= len(_ADTS_RATES) or size < 7:
        return None
    channels = (head[2] & 1) << 2 | head[3] >> 6
    samples = 1024 * ((head[6] & 3) + 1)
    return Frame(place, size, samples, _ADTS_RATES[rate_index], channels, (head[1] & 8, 0))


def amr_frame(content: bytes, place: int, wide: bool) -> Frame | None:
    """The AMR frame of 20 ms that begins at a place; None if none does."""
    first = content[place]
    size = (_AMR_WB_BYTES if wide else _AMR_BYTES).get((first >> 3) & 15)
    if size is None or first & 0x83:  # bits that are always 0 in a file
        return None
    rate = 16000 if wide else 8000
    return Frame(place, size + 1, rate // 50, rate, 1, (0, 0))


def id3_bytes(content: bytes, place: int = 0) -> int:
    """Length of the ID3v2 tag that begins at a place; 0 if none does.

    >>> id3_bytes(b"ID3" + bytes([4, 0, 0, 0, 0, 0, 5]) + bytes(5))
    15
    """
    head = content[place : place + 10]
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 16 else 0)


def _tag_bytes(content: bytes, place: int) -> int:
    """Length of a tag of any kind, or of a run of zeros, that begins at a place; 0 if none does."""
    if size := id3_bytes(content, place):
        return size
    if content.startswith(b"TAG+", place):
        return 227
    if content.startswith(b"TAG", place):
        return 128
    if content.startswith(b"APETAGEX", place) and len(content) - place >= 32:
        size = int.from_bytes(content[place + 12 : place + 16], "little")
        is_header = content[place + 23] & 0x20
        return size + 32 if is_header else 32
    if content.startswith(b"LYRICSBEGIN", place):
        end = content.find(b"LYRICS200", place)
        return end + 9 - place if end > 0 else 0
    zeros = place
    while zeros < len(content) and not content[zeros]:
        zeros += 1
    return zeros - place


def split_frames(
    content: bytes, place: int, parse: Callable[[bytes, int], Frame | None], name: str
) -> list[Frame]:
    """All frames of a coding, between which there may be tags.

    Args:
        content: of the file.
        place: where the first frame or tag begins.
        parse: one of the functions above.
        name: of the file, for messages.

    Raises:
        UserError: where neither a frame nor a tag begins, and if the last one is not whole.
    """
    frames: list[Frame] = []
    seconds = 0.0
    while place < len(content):
        frame = parse(content, place)
        if frame is None:
            skipped = _tag_bytes(content, place)
            if not skipped:
                if frames and len(content) - place < 4:
                    raise truncated(name, f"its last frame, at {seconds:.2f} s, is not whole")
                raise damaged(name, f"no frame begins at byte {place}, after {seconds:.2f} s")
            place += skipped
            continue
        if place + frame.size > len(content):
            raise truncated(name, f"its last frame, at {seconds:.2f} s, is not whole")
        frames.append(frame)
        seconds += frame.samples / frame.rate
        place += frame.size
    return frames


@dataclass(frozen=True)
class Link:
    """MPEG frames that were encoded together.

    Attributes:
        frames: of sound, without the one that holds the Xing or VBRI header.
        declared: whether there is such a header.
        skip: samples of the encoder's and the decoder's delay, at the beginning.
        drop: samples of padding, at the end.
    """

    frames: list[Frame]
    declared: bool
    skip: int
    drop: int

    def samples(self) -> int:
        """How many samples the link becomes."""
        return max(0, sum(frame.samples for frame in self.frames) - self.skip - self.drop)


_DECODER_DELAY = 529  # samples of layer III: the gap that every decoder adds


def _declaration(content: bytes, frame: Frame) -> tuple[int | None, int, int] | None:
    """(frames, delay, padding) of a Xing, Info or VBRI header; None if the frame has none."""
    if frame.kind[1] != 3:
        return None
    body = content[frame.start : frame.start + frame.size]
    if body[36:40] == b"VBRI":
        return int.from_bytes(body[50:54], "big"), 0, 0
    side = (17 if frame.channels == 1 else 32) if frame.kind[0] == 3 else (
        9 if frame.channels == 1 else 17
    )  # fmt: skip
    place = 4 + side
    if body[place : place + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(body[place + 4 : place + 8], "big")
    place += 8
    count = int.from_bytes(body[place : place + 4], "big") if flags & 1 else None
    place += 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
    gap = int.from_bytes(body[place + 21 : place + 24], "big")
    is_known = body[place : place + 4].strip(b"\0") and len(body) >= place + 24
    return count, (gap >> 12) if is_known else 0, (gap & 0xFFF) if is_known else 0


def mpeg_links(content: bytes, place: int, name: str) -> list[Link]:
    """An MPEG audio file as what it was joined of; nearly always that is one link.

    The delay at the beginning and the padding at the end are cut off as the Xing or Info header of
    a link declares them; without one nothing is cut off. Where there are more frames than it
    declares, the end is not the one that it speaks of, and only the delay is cut off.

    Raises:
        UserError: as :func:`split_frames`, and if there are fewer frames than declared.
    """
    frames = split_frames(content, place, mpeg_frame, name)
    links: list[Link] = []
    start = 0
    starts = [
        n
        for n, frame in enumerate(frames)
        if n == 0
        or (frame.kind, frame.rate) != (frames[n - 1].kind, frames[n - 1].rate)
        or _declaration(content, frame) is not None
    ]
    for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
        own = frames[start:end]
        declaration = _declaration(content, own[0])
        if declaration is None:
            links.append(Link(own, False, 0, 0))
            continue
        count, delay, padding = declaration
        own = own[1:]
        if count is not None and count > len(own) + 1:  # some count the header's own frame
            raise truncated(name, f"{len(own)} of {count} frames are there")
        ends_there = count is None or len(own) <= count
        skip = delay + _DECODER_DELAY if delay or padding else 0
        drop = max(0, padding - _DECODER_DELAY) if ends_there else 0
        links.append(Link(own, count is not None, skip, drop))
    return links
