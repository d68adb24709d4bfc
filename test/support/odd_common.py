"""What an odd recording is, and how to make one."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

REFUSED, TOO_LONG = "refused", "too long"


@dataclass(frozen=True)
class Odd:
    """One recording.

    Attributes:
        name: its file name.
        oddity: what is odd about it, for the table.
        content: of the file.
        samples: at 16 kHz that must come out of it; 0 if none must.
        decision: ``"used"``, ``"refused"`` or ``"too long"`` for Whisper's 30 s.
    """

    name: str
    oddity: str
    content: bytes
    samples: int
    decision: str = "used"


def voice(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """A tone and noise, (N,) or (N, channels), the channels being different."""
    count = round(seconds * rate)
    rng = np.random.default_rng(count + channels)
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(count) / rate)[:, None]
    samples = (tone + 0.05 * rng.standard_normal((count, channels))).astype(np.float32)
    return samples if channels > 1 else samples[:, 0]


def write(
    samples: np.ndarray, rate: int, kind: str, subtype: str | None = None, **more: Any
) -> bytes:
    """The bytes of a file that libsndfile writes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype, **more)
    return buffer.getvalue()


def put(content: bytes, place: int, value: int, form: str = "<I") -> bytes:
    """The content with another number at a place."""
    return content[:place] + struct.pack(form, value) + content[place + struct.calcsize(form) :]


def sized(wav: bytes, riff: int | None = None, data: int | None = None) -> bytes:
    """A WAV file of 44 bytes of header with other sizes."""
    assert wav[36:40] == b"data"
    wav = wav if riff is None else put(wav, 4, riff)
    return wav if data is None else put(wav, 40, data)


def used(name: str, oddity: str, content: bytes, seconds: float) -> Odd:
    return Odd(name, oddity, content, round(seconds * 16000))


def refused(name: str, oddity: str, content: bytes) -> Odd:
    return Odd(name, oddity, content, 0, REFUSED)


def mp3_seconds(seconds: float, rate: int) -> float:
    """Length of MP3 that nothing declares: whole frames, the delay of 1105 samples included."""
    size = 1152 if rate >= 32000 else 576
    return size * -(-(round(seconds * rate) + 1105) // size) / rate


def adts_seconds(seconds: float, rate: int) -> float:
    """Length of AAC that nothing declares: whole frames, the first being the encoder's delay."""
    return 1024 * (-(-round(seconds * rate) // 1024) + 1) / rate
