"""Speech through a lossy coding and back, in memory."""

from __future__ import annotations

import io

import numpy as np

from espnet_otreg.features.distortions import Waveform, fitted

# Container, coding and rates in hertz of libsndfile. GSM 06.10 is that of mobile telephones, IMA
# ADPCM that of games and voice mail.
CODECS = {
    "mp3": ("MP3", "MPEG_LAYER_III", (16000, 12000, 11025)),
    "vorbis": ("OGG", "VORBIS", (16000, 11025)),
    "opus": ("OGG", "OPUS", (16000, 8000)),
    "gsm": ("WAV", "GSM610", (8000,)),
    "adpcm": ("WAV", "IMA_ADPCM", (16000, 11025, 8000)),
}
_ADJUSTABLE = ("mp3", "vorbis", "opus")


def through_codec(
    waveform: Waveform, rate: int, codec: str, compression: float, rng: np.random.Generator
) -> Waveform:
    """Encode and decode a waveform.

    Args:
        waveform: (N,) samples in [-1, 1].
        rate: samples per second.
        codec: a key of :data:`CODECS`.
        compression: from 0 (the best quality) to 1 (the fewest bits), for codings that can choose.
        rng: draws the rate at which it is encoded.

    Returns:
        (N,) samples.
    """
    import soundfile
    import soxr

    container, coding, rates = CODECS[codec]
    low = int(rng.choice(rates))
    samples = waveform if low == rate else soxr.resample(waveform, rate, low)
    file = io.BytesIO()
    settings = {"compression_level": compression} if codec in _ADJUSTABLE else {}
    soundfile.write(
        file, np.clip(samples, -1.0, 1.0), low, format=container, subtype=coding, **settings
    )
    file.seek(0)
    decoded, found = soundfile.read(file, dtype="float32")
    back = decoded if found == rate else soxr.resample(decoded, found, rate)
    return fitted(back, len(waveform))  # codings work in blocks, and have a delay
