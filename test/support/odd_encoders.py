"""Encoded recordings that libsndfile cannot write, and parts of others."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping

import av
import numpy as np

from espnet_otreg.data.audio.ogg import page_checksum

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


class _Pipe:
    """A file that can only be written to."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self.buffer.write(data)


def encode(
    samples: np.ndarray,
    rate: int,
    container: str,
    codec: str,
    options: Mapping[str, str] | None = None,
    target: _Pipe | None = None,
) -> bytes:
    """The bytes of a file that FFmpeg writes from samples (N,) or (N, channels)."""
    planes = np.ascontiguousarray(np.atleast_2d(samples.T), np.float32)
    layout = _LAYOUTS[len(planes)]
    pipe = target or io.BytesIO()
    with av.open(pipe, "w", format=container, options=dict(options or {})) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = layout
        whole = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        whole.sample_rate, whole.pts = rate, 0
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate)
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return pipe.buffer.getvalue() if isinstance(pipe, _Pipe) else pipe.getvalue()


def live_webm(samples: np.ndarray, rate: int) -> bytes:
    """WebM as a program writes it that cannot come back to its beginning."""
    return encode(samples, rate, "webm", "libopus", {"live": "1"}, _Pipe())


def g722(samples: np.ndarray) -> bytes:
    """Raw G.722 of samples at 16 kHz."""
    return encode(samples, 16000, "g722", "g722")


def amr(frames: int, wide: bool) -> bytes:
    """AMR frames of 20 ms with random parameters: they decode to noise."""
    rng = np.random.default_rng(frames)
    # Mode 7 (12.2 kbit/s) has 31 bytes, mode 8 of wide band (23.85 kbit/s) 60.
    start, mode, size = (b"#!AMR-WB\n", 8, 60) if wide else (b"#!AMR\n", 7, 31)
    first = bytes([mode << 3 | 4])
    return start + b"".join(first + rng.bytes(size) for _ in range(frames))


def ogg_pages(content: bytes) -> list[bytes]:
    """The pages of an Ogg file."""
    places = [0]
    while places[-1] < len(content):
        place = places[-1]
        segments = content[place + 26]
        places.append(place + 27 + segments + sum(content[place + 27 : place + 27 + segments]))
    return [content[a:b] for a, b in zip(places, places[1:], strict=False)]


def ogg_with(page: bytes, flags: int) -> bytes:
    """A page with other flags and a true checksum."""
    bare = page[:5] + bytes([flags]) + page[6:22] + bytes(4) + page[26:]
    return bare[:22] + struct.pack("<I", page_checksum(bare)) + bare[26:]
