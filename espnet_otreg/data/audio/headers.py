"""WAV, RF64, W64, AIFF, AU and CAF whose header says what is really there."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from espnet_otreg.data.audio.chunks import (
    AIFF,
    CAF,
    RIFF,
    RIFX,
    W64,
    Chunk,
    Layout,
    Samples,
    find_chunks,
    refuse_another,
)
from espnet_otreg.data.audio.decoded import damaged, truncated, unknown
from espnet_otreg.data.audio.source import Source

_W64_START = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_PLAIN_WAV = (1, 3, 6, 7)  # PCM, float, A-law, mu-law: a block is a frame
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
_PLAIN_AIFC = {b"NONE": 0, b"twos": 0, b"sowt": 0, b"in24": 3, b"in32": 4, b"fl32": 4,
               b"FL32": 4, b"fl64": 8, b"FL64": 8, b"ulaw": 1, b"ULAW": 1, b"alaw": 1,
               b"ALAW": 1, b"raw ": 1}  # fmt: skip


@dataclass(frozen=True)
class Trued:
    """A file rewritten with a header that is true.

    Attributes:
        content: of the new file.
        rate: in hertz.
        frames: how many frames must decode; None if the coding does not tell.
        declared: whether the original says how long it is.
        plain: whether the samples are uncompressed, so that the number of frames is certain.
        mpeg: the samples themselves, if they are MPEG audio inside a WAV file.
    """

    content: bytes
    rate: int
    frames: int | None
    declared: bool
    plain: bool = True
    mpeg: bytes | None = None


def _wave_bytes(source: Source, layout: Layout) -> Trued:
    content, name = source.content, source.name
    chunks = find_chunks(content, layout, b"data", (b"fmt ",), name)
    data, form = chunks[b"data"], chunks[b"fmt "]
    header = content[form.start : form.start + form.size]
    if len(header) < 16:
        raise truncated(name, "its format chunk is not whole")
    read = layout.number
    tag, channels, rate = read(header, 0, 2), read(header, 2, 2), read(header, 4, 4)
    rate_bytes, block = read(header, 8, 4), read(header, 12, 2)
    if tag == 0xFFFE and len(header) >= 26:
        tag = read(header, 24, 2)
    if not (channels and rate and block):
        raise damaged(name, f"{channels} channels of {rate} Hz in blocks of {block} bytes")
    outer: int | None
    if layout is W64:
        outer = read(content, 16)
    elif content[:4] in (b"RF64", b"BW64"):
        sizes = chunks.get(b"ds64")
        if sizes is None:
            raise truncated(name, "no chunk 'ds64'")
        outer = read(content, sizes.start, 8) + 8
        if data.size == 0xFFFFFFFF:
            # Where ds64 has no size either, 2**32 - 1 goes on to stand for "unknown".
            data = Chunk(data.name, data.start, read(content, sizes.start + 8, 8) or data.size)
    else:
        outer = read(content, 4) + 8
    plain = tag in _PLAIN_WAV
    rate_bytes = rate * block if plain else rate_bytes
    unit = block if plain else 1
    extent = Samples(content, data, layout, outer, unit, rate_bytes, name).measure()
    samples = content[data.start : data.start + extent.size]
    frames: int | None = len(samples) // block if plain else None
    fact = chunks.get(b"fact")
    if not plain and fact is not None and fact.size >= 4:
        frames = read(content, fact.start, 4) or None
    order = ">" if layout is RIFX else "<"
    parts = [(b"fmt ", header)]
    if frames is not None and not plain:
        parts.append((b"fact", struct.pack(order + "I", frames)))
    body = b"WAVE" + b"".join(_chunk(part, value, order) for part, value in parts)
    body += _chunk(b"data", samples, order)
    kind = b"RIFX" if layout is RIFX else b"RIFF"
    mpeg = samples if tag in (0x50, 0x55) else None
    return Trued(_chunk(kind, body, order), rate, frames, extent.declared, plain, mpeg)


def _chunk(name: bytes, value: bytes, order: str) -> bytes:
    return name + struct.pack(order + "I", len(value)) + value + b"\0" * (len(value) % 2)


def _aiff_bytes(source: Source) -> Trued:
    content, name = source.content, source.name
    chunks = find_chunks(content, AIFF, b"SSND", (b"COMM",), name)
    common, sound = chunks[b"COMM"], chunks[b"SSND"]
    fields = content[common.start : common.start + common.size]
    if len(fields) < 18 or len(content) < sound.start + 8:
        raise truncated(name, "its header is not whole")
    channels, frames, bits = struct.unpack(">hIh", fields[:8])
    rate = _extended(fields[8:18])
    is_aifc = content[8:12] == b"AIFC"
    coding = fields[18:22] if is_aifc else b"NONE"
    width = _PLAIN_AIFC.get(coding, 1) or -(-bits // 8)
    block = channels * width if coding in _PLAIN_AIFC else 1
    if channels < 1 or block < 1:
        raise damaged(name, f"{channels} channels of {bits} bits")
    skip = 8 + AIFF.number(content, sound.start)  # the chunk begins with an offset and a block size
    data = Chunk(b"SSND", sound.start + skip, max(0, sound.size - skip))
    declared_bytes = frames * block if coding in _PLAIN_AIFC else 0
    if sound.size < 8 and declared_bytes:
        data = Chunk(b"SSND", data.start, declared_bytes)
    outer = AIFF.number(content, 4) + 8
    extent = Samples(content, data, AIFF, outer, block, rate * block, name).measure()
    if coding not in _PLAIN_AIFC:
        packet = 64 if coding == b"ima4" else 1  # frames that COMM counts as one
        return Trued(content, rate, frames * packet or None, extent.declared, False)
    found = extent.size // block
    samples = content[data.start : data.start + found * block]
    header = fields[:2] + struct.pack(">I", found) + fields[6:]
    parts = [content[8:12]]
    if is_aifc:
        parts.append(_chunk(b"FVER", b"\xa2\x80\x51\x40", ">"))
    parts += [_chunk(b"COMM", header, ">"), _chunk(b"SSND", b"\0" * 8 + samples, ">")]
    return Trued(_chunk(b"FORM", b"".join(parts), ">"), rate, found, extent.declared)


def _extended(number: bytes) -> int:
    """The whole part of an 80-bit float, which AIFF writes a rate as."""
    exponent = int.from_bytes(number[:2], "big") & 0x7FFF
    shift = 16383 + 63 - exponent
    return int.from_bytes(number[2:10], "big") >> shift if 0 <= shift < 64 else 0


def _au_bytes(source: Source) -> Trued:
    content, name = source.content, source.name
    order = ">" if content[:4] == b".snd" else "<"
    if len(content) < 24:
        raise truncated(name, "its header is not whole")
    start, size, coding, rate, channels = struct.unpack(order + "5I", content[4:24])
    block = _AU_BYTES.get(coding, 0) * channels
    if not block:
        raise unknown(name, f"AU coding {coding} of {channels} channels")
    if not 24 <= start <= len(content):
        raise damaged(name, f"its samples begin at byte {start}")
    data = Chunk(b"data", start, size)
    extent = Samples(content, data, None, None, block, rate * block, name).measure()
    frames = extent.size // block
    header = content[:4] + struct.pack(order + "5I", 24, frames * block, coding, rate, channels)
    samples = content[start : start + frames * block]
    return Trued(header + samples, rate, frames, extent.declared)


def _caf_bytes(source: Source) -> Trued:
    content, name = source.content, source.name
    chunks = find_chunks(content, CAF, b"data", (b"desc",), name)
    about, data = chunks[b"desc"], chunks[b"data"]
    if len(content) < about.start + 32 or len(content) < data.start + 4:
        raise truncated(name, "its header is not whole")
    fields = content[about.start : about.start + 32]
    rate, coding, _, packet_bytes, packet_frames, _, _ = struct.unpack(">d4s5I", fields)
    plain = packet_frames == 1 and packet_bytes > 0
    samples = Chunk(b"data", data.start + 4, max(0, data.size - 4))  # after the edit count
    rate_bytes = rate * packet_bytes if plain else 8000
    extent = Samples(content, samples, CAF, None, packet_bytes or 1, rate_bytes, name).measure()
    if not plain:
        packets = find_chunks(content, CAF, b"data", (b"pakt",), name)[b"pakt"]
        frames = CAF.number(content, packets.start + 8)
        # FFmpeg subtracts what fills up the last packet although it decodes that packet short.
        filled = packets.start + 20
        content = content[:filled] + bytes(4) + content[filled + 4 :]
        return Trued(content, round(rate), frames, True, False)
    kept = content[data.start : samples.start + extent.size]
    chunk = b"data" + struct.pack(">Q", len(kept)) + kept
    header = content[:8] + b"desc" + struct.pack(">Q", 32) + fields
    return Trued(header + chunk, round(rate), extent.size // packet_bytes, extent.declared)


def _nist_bytes(source: Source) -> Trued:
    """NIST SPHERE: the header is text with ``sample_count``, the frames of each channel."""
    content, name = source.content, source.name
    try:
        start = int(content[8:16])
        lines = content[16:start].decode("ascii").splitlines()
        fields = {words[0]: words[2] for line in lines if len(words := line.split(None, 2)) == 3}
        width, channels = int(fields["sample_n_bytes"]), int(fields["channel_count"])
        rate = int(fields["sample_rate"])
        count = int(fields["sample_count"]) if "sample_count" in fields else None
    except (ValueError, KeyError) as error:
        raise damaged(name, "its SPHERE header") from error
    coding = fields.get("sample_coding", "pcm")
    if coding not in ("pcm", "ulaw", "alaw", "mu-law"):
        raise unknown(name, f"SPHERE coding {coding}")
    if count is None or width * channels < 1:
        raise damaged(name, "its SPHERE header lacks the number of samples")
    size = count * width * channels
    room = len(content) - start
    if size > room:
        raise truncated(name, f"{room} of {size} bytes of samples are there")
    refuse_another(content, start + size, name)
    if room - size >= rate * width * channels * 0.02:
        raise damaged(name, f"{room - size} bytes follow the samples that its header declares")
    return Trued(content, rate, count, True)


def true_header(source: Source) -> Trued | None:
    """The same recording with a true header; None if it is none of these formats.

    Raises:
        UserError: if the file is truncated, or its header is no header.
    """
    content = source.content
    start, kind = content[:4], content[8:12]
    if start in (b"RIFF", b"RF64", b"BW64") and (kind == b"WAVE" or len(content) < 12):
        return _wave_bytes(source, RIFF)
    if start == b"RIFX" and kind == b"WAVE":
        return _wave_bytes(source, RIFX)
    if content[:16] == _W64_START:
        return _wave_bytes(source, W64)
    if start == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return _aiff_bytes(source)
    if start in (b".snd", b"dns."):
        return _au_bytes(source)
    if start == b"caff":
        return _caf_bytes(source)
    if start == b"NIST":
        return _nist_bytes(source)
    return None
