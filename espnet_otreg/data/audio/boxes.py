"""MP4 and Matroska: nested boxes, all of which must lie inside the file."""

from __future__ import annotations

from espnet_otreg.data.audio.decoded import damaged, truncated

_MP4_STARTS = (b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675


def is_mp4(content: bytes) -> bool:
    """Whether a file begins as MP4, M4A, 3GP or QuickTime do.

    >>> is_mp4(b"\\0\\0\\0\\x18ftypM4A ")
    True
    """
    return content[4:8] in _MP4_STARTS


def check_mp4(content: bytes, name: str) -> bool:
    """Raise unless the boxes of an MP4 file fill it, and its table of contents is there.

    Returns:
        Whether a missing piece would be seen: the pieces of a stream (moof) need no list of them.

    Raises:
        UserError: if it is cut off.

    >>> boxes = b"\\0\\0\\0\\x0cftypM4A \\0\\0\\0\\x08moov"
    >>> check_mp4(boxes, "a.m4a")
    True
    >>> check_mp4(boxes[:-9], "a.m4a")
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: a.m4a: the audio file is truncated (its box 'ftyp' is not \
whole); copy or download it again
    """
    place = 0
    names: list[bytes] = []
    while place < len(content):
        if not content[place:].strip(b"\0"):
            break
        size = int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        if size == 1:
            size = int.from_bytes(content[place + 8 : place + 16], "big")
        elif size == 0:  # to the end of the file
            size = len(content) - place
        if len(kind) < 4 or size < 8:
            raise damaged(name, f"no MP4 box begins at byte {place}")
        if place + size > len(content):
            raise truncated(name, f"its box '{kind.decode('latin-1')}' is not whole")
        names.append(kind)
        place += size
    if b"moov" not in names:
        raise truncated(name, "its box 'moov', the table of contents, is missing")
    if names.count(b"moov") > 1:
        raise damaged(name, "it is joined of two files")
    return b"moof" not in names or b"mfra" in names


def _vint(content: bytes, place: int, name: str, keep_marker: bool) -> tuple[int | None, int]:
    """An EBML number and where it ends; None stands for "unknown"."""
    if place >= len(content):
        raise truncated(name, "its last element is not whole")
    first = content[place]
    length = 9 - first.bit_length()
    if not first or place + length > len(content):
        raise truncated(name, f"no element begins at byte {place}")
    value = int.from_bytes(content[place : place + length], "big")
    if keep_marker:
        return value, place + length
    value &= (1 << 7 * length) - 1
    return (None if value == (1 << 7 * length) - 1 else value), place + length


def check_matroska(content: bytes, name: str) -> bool:
    """Raise unless the elements of a WebM or Matroska file lie inside it.

    Returns:
        Whether its segment says how long it is; that of a live recording does not.

    Raises:
        UserError: if it is cut off.

    >>> check_matroska(bytes.fromhex("1a45dfa380 18538067 83 4286 80"), "a.webm")
    True
    >>> check_matroska(bytes.fromhex("1a45dfa380 18538067 ff 4286 80"), "a.webm")
    False
    """
    declared = True
    place = 0
    while place < len(content):
        kind, start = _vint(content, place, name, True)
        size, start = _vint(content, start, name, False)
        if size is None and kind not in (_SEGMENT, _CLUSTER):
            raise damaged(name, f"the element at byte {place} has no size")
        if size is not None and start + size > len(content):
            raise truncated(name, f"{len(content) - start} of {size} bytes of an element are there")
        if kind == _SEGMENT:
            declared = size is not None
        # Segments and clusters are entered: what they hold must be whole, too.
        place = start if kind in (_SEGMENT, _CLUSTER) or size is None else start + size
    return declared
