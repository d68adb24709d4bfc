"""Where the speech of each utterance is: a whole file, or a part of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.audio.door import audio_seconds, read_mono
from espnet_otreg.data.audio.options import DEFAULT_AUDIO, AudioOptions
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError

SEGMENTS = "segments"  # beside wav.scp: <utterance> <recording> <start> <end>


@dataclass(frozen=True)
class Recording:
    """A file, or the part of it between two times in seconds.

    >>> print(Recording("a.wav"), "|", Recording("a.wav", 1.5, 2))
    a.wav | a.wav from 1.5 to 2 s
    """

    path: str
    start: float | None = None
    end: float | None = None

    def __str__(self) -> str:
        if self.start is None and self.end is None:
            return self.path
        return f"{self.path} from {self.start or 0:g} to {self.end:g} s"

    def read(self, rate: int, options: AudioOptions = DEFAULT_AUDIO) -> NDArray[np.float32]:
        """Its samples (N,) at ``rate`` hertz.

        Raises:
            UserError, OSError: as :func:`espnet_otreg.data.audio.read_mono`.
        """
        return read_mono(
            self.path, rate, options.mix_channels, options.resample, start=self.start, end=self.end
        )

    def seconds(self) -> float:
        """How long it is.

        Raises:
            UserError, OSError: as :func:`espnet_otreg.data.audio.audio_seconds`.
        """
        if self.start is not None and self.end is not None:
            return self.end - self.start
        return audio_seconds(self.path)


def read_recordings(wav_scp: str | Path) -> dict[str, Recording]:
    """The recording of each utterance of a data directory.

    Args:
        wav_scp: lines of ``<utterance> <path>``. If there is a ``segments`` beside it, the keys of
            ``wav.scp`` are recordings, and the utterances are those of ``segments``.

    Raises:
        UserError: if a table is malformed, or a segment is none.
    """
    files = read_table(wav_scp)
    segments = Path(wav_scp).with_name(SEGMENTS)
    if not segments.is_file():
        return {key: Recording(path) for key, path in files.items()}
    found = {}
    for key, value in read_table(segments).items():
        words = value.split()
        where = f"{segments}: utterance '{key}'"
        if len(words) != 3:
            raise UserError(
                f"expected a recording and two times, found '{value}'", where, "correct the line"
            )
        try:
            start, end = float(words[1]), float(words[2])
        except ValueError:
            start, end = 0.0, -1.0
        if not 0 <= start < end < float("inf"):
            raise UserError(f"no span from {words[1]} to {words[2]} s", where, "correct the line")
        if words[0] not in files:
            raise UserError(f"recording '{words[0]}' is not in wav.scp", where, "add it there")
        found[key] = Recording(files[words[0]], start, end)
    return found
