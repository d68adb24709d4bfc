"""Recordings in any form to mono samples: :func:`read_mono` and :func:`speech_samples`."""

from espnet_otreg.data.audio.decode import decode
from espnet_otreg.data.audio.door import CONVERSIONS, audio_seconds, read_mono, speech_samples
from espnet_otreg.data.audio.source import read_source
from espnet_otreg.data.audio.write import write_wav

__all__ = [
    "CONVERSIONS",
    "audio_seconds",
    "decode",
    "read_mono",
    "read_source",
    "speech_samples",
    "write_wav",
]
