"""16-bit mono WAV files, whole or absent."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.files import naming_file


def write_wav(path: str | Path, samples: NDArray[np.float32], rate: int) -> None:
    """Write 16-bit mono PCM under a temporary name, then rename: the file is whole or absent.

    Raises:
        OSError: if the directory cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    content = io.BytesIO()  # so that a full disk is an OSError here, not a defect inside a library
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, len(pcm), "NONE", ""))
        file.writeframes(pcm.tobytes())
    try:
        with naming_file(path):
            temporary.write_bytes(content.getvalue())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
