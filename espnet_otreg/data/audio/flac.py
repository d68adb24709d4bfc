"""FLAC: what its header declares, and the checksum of what must decode."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np

from espnet_otreg.data.audio.decoded import Decoded, Samples, damaged, truncated
from espnet_otreg.data.audio.ffmpeg import decode_container
from espnet_otreg.data.audio.source import Source

_EXACT_BITS = 24  # of integers that a float32 holds


@dataclasses.dataclass(frozen=True)
class StreamInfo:
    """The STREAMINFO block.

    Attributes:
        rate, channels, bits: of the samples.
        frames: of the whole recording; 0 stands for "unknown".
        md5: of the samples; zeros stand for "unknown".
    """

    rate: int
    channels: int
    bits: int
    frames: int
    md5: bytes


def stream_info(content: bytes, name: str) -> StreamInfo:
    """Read STREAMINFO, which is the first block of every FLAC file.

    Raises:
        UserError: if it is not whole.
    """
    block = content[8:42]
    if len(block) < 34 or content[4] & 0x7F:
        raise truncated(name, "its header is not whole")
    packed = int.from_bytes(block[10:18], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    return StreamInfo(rate, channels, bits, packed & (1 << 36) - 1, block[18:34])


def _digest(samples: Samples, bits: int) -> bytes:
    """MD5 of the integers that samples (frames, channels) of up to 24 bits were."""
    integers = (samples.astype(np.float64) * 2.0 ** (bits - 1)).astype("<i4").reshape(-1, 1)
    packed = integers.view(np.uint8)[:, : -(-bits // 8)].tobytes()
    return hashlib.md5(packed, usedforsecurity=False).digest()


def _blocks_are_whole(content: bytes, frames: int) -> bool:
    """Whether libFLAC, which checks each block, decodes as many frames without an error."""
    import soundfile

    header = bytearray(content[:26])
    header[21] = header[21] & 0xF0 | frames >> 32
    header[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    try:
        with soundfile.SoundFile(io.BytesIO(bytes(header) + content[26:])) as file:
            return len(file.read(frames, dtype="int32", always_2d=True)) == frames
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        return False


def decode_flac(source: Source) -> Decoded:
    """Decode to the end and compare with what is declared.

    Where the checksum of the whole is there and right, the samples are complete, whatever number of
    them the header has; else the checksums of the blocks must be right.

    Raises:
        UserError: if it is truncated or damaged.
    """
    content, name = source.content, source.name
    info = stream_info(content, name)
    decoded, _ = decode_container(content, name, "flac")
    found = len(decoded.samples)
    has_checksum = any(info.md5) and info.bits <= _EXACT_BITS
    if has_checksum and _digest(decoded.samples, info.bits) == info.md5:
        return decoded
    if found < info.frames:
        raise truncated(name, f"{found} of {info.frames} samples are there")
    if has_checksum or not _blocks_are_whole(content, found):
        raise damaged(name, "a checksum is wrong")
    return dataclasses.replace(decoded, declared=bool(info.frames))
