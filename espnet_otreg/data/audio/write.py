"""16-bit mono WAV files, whole or absent."""

from __future__ import annotations

import hashlib
import io
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.files import atomic_write


def write_wav(path: str | Path, samples: NDArray[np.float32], rate: int) -> str:
    """Write 16-bit mono PCM under a temporary name, then rename: the file is whole or absent.

    Returns:
        sha256 of the file.

    Raises:
        OSError: if the directory cannot be written or the disk is full.
    """
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    content = io.BytesIO()  # so that a full disk is an OSError here, not a defect inside a library
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, len(pcm), "NONE", ""))
        file.writeframes(pcm.tobytes())
    with atomic_write(path, "wb", flush=False) as target:
        target.write(content.getvalue())
    return hashlib.sha256(content.getbuffer()).hexdigest()
