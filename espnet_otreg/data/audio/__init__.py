"""Recordings in any form to mono samples: :func:`read_mono` and :func:`speech_samples`."""

from espnet_otreg.data.audio.conversions import CONVERSIONS, Conversions
from espnet_otreg.data.audio.decode import decode
from espnet_otreg.data.audio.door import (
    Policy,
    audio_seconds,
    read_declared,
    read_mono,
    speech_samples,
)
from espnet_otreg.data.audio.source import read_source
from espnet_otreg.data.audio.write import write_wav

__all__ = [
    "CONVERSIONS",
    "Conversions",
    "Policy",
    "audio_seconds",
    "decode",
    "read_declared",
    "read_mono",
    "read_source",
    "speech_samples",
    "write_wav",
]
