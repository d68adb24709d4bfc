"""Reading the recordings of a prepared data directory, with a clear sentence for each defect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.audio import read_audio
from espnet_otreg.errors import UserError, sentence_for

SAMPLE_RATE = 16000
_MEND = "run stage 2 (format) again or remove the utterance"


def read_waveform(path: str | Path, utterance: str) -> NDArray[np.float32]:
    """The samples of a 16 kHz mono file, (N,) in [-1, 1].

    Args:
        path: an audio file.
        utterance: its id, for messages.

    Raises:
        UserError: if the file is missing, unreadable, truncated, empty, of another rate, not mono,
            or holds a value that is not a finite number.
    """
    where = f"utterance {utterance} ({path})"
    try:
        samples, rate = read_audio(path)
    except (UserError, OSError) as error:
        raise UserError(f"the recording cannot be read: {sentence_for(error)}", where) from error
    if rate != SAMPLE_RATE:
        raise UserError(f"the rate is {rate} Hz instead of {SAMPLE_RATE}", where, _MEND)
    if samples.shape[1] != 1:
        raise UserError(f"the audio has {samples.shape[1]} channels instead of one", where, _MEND)
    if not len(samples):
        raise UserError("the audio is empty", where, _MEND)
    if not np.isfinite(samples).all():
        raise UserError("the audio has NaN or infinite samples", where, _MEND)
    return samples[:, 0]
