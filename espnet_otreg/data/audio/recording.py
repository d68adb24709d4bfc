"""Where the speech of each utterance is: a whole file, or a part of one."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.audio.conversions import CONVERSIONS, Conversions
from espnet_otreg.data.audio.decode import decode
from espnet_otreg.data.audio.decoded import Decoded
from espnet_otreg.data.audio.door import (
    Policy,
    audio_seconds,
    check_decoded,
    read_declared,
    span,
)
from espnet_otreg.data.audio.options import DEFAULT_AUDIO, AudioOptions
from espnet_otreg.data.audio.source import read_source
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.data.segments import SEGMENTS, channel_errors, scan_segments
from espnet_otreg.errors import UserError


@functools.lru_cache(maxsize=1)
def _decoded(path: str, size: int, changed: int) -> Decoded:
    """A recording of which parts are wanted, one after another; size and time of the last change
    of any kind, which no program can set, tell a new file."""
    decoded = decode(read_source(path))
    check_decoded(decoded, path)
    return decoded


@dataclass(frozen=True)
class Recording:
    """A file, or the part of it between two times in seconds.

    Attributes:
        path: of the file.
        start: None is its beginning.
        end: None is its end.
        line: of ``segments`` that says so, for messages.

    >>> print(Recording("a.wav"), "|", Recording("a.wav", 1.5, 2), "|", Recording("a.wav", 3))
    a.wav | a.wav from 1.5 to 2 s | a.wav from 3 s on
    """

    path: str
    start: float | None = None
    end: float | None = None
    line: str = ""

    def __str__(self) -> str:
        if self.start is None and self.end is None:
            return self.path
        end = "on" if self.end is None else f"to {self.end:g} s"
        by = f", {self.line}" if self.line else ""
        return f"{self.path} from {self.start or 0:g} {'s ' * (self.end is None)}{end}{by}"

    def read(
        self,
        rate: int,
        options: AudioOptions = DEFAULT_AUDIO,
        seen: Conversions = CONVERSIONS,
    ) -> NDArray[np.float32]:
        """Its samples (N,).

        Args:
            rate: that they are wanted at, in hertz.
            options: what may be done to get them.
            seen: counts what is done.

        Raises:
            UserError, OSError: as :func:`espnet_otreg.data.audio.read_mono`.
        """
        policy = Policy(rate, options.mix_channels, options.resample, seen)
        if self.start is None and self.end is None:
            return read_declared(read_source(self.path), policy)[0]
        status = os.stat(self.path)
        whole = _decoded(self.path, status.st_size, status.st_ctime_ns)
        return policy.convert(span(whole, self.start, self.end, self.path), self.path)

    def seconds(self) -> float:
        """How long it is.

        Raises:
            UserError, OSError: as :func:`espnet_otreg.data.audio.audio_seconds`.
        """
        end = audio_seconds(self.path) if self.end is None else self.end
        return end - (self.start or 0.0)

    def bytes(self) -> int:
        """Of the file, or what a part of one has at 16 kHz and 16 bits: a measure of the work.

        Raises:
            UserError, OSError: as :meth:`seconds`.
        """
        if self.start is None and self.end is None:
            return os.stat(self.path).st_size
        return round(self.seconds() * 32000)

    def described(self) -> tuple[str, float | None, float | None]:
        """What decides its samples, for fingerprints."""
        return self.path, self.start, self.end


def read_recordings(wav_scp: str | Path) -> dict[str, Recording]:
    """The recording of each utterance of a data directory.

    Args:
        wav_scp: lines of ``<utterance> <path>``. If there is a ``segments`` beside it, the keys of
            ``wav.scp`` are recordings, and the utterances are those of ``segments``.

    Raises:
        UserError: if a table is malformed, or a segment is none, naming file and line.
    """
    files = read_table(wav_scp)
    for key, value in files.items():
        if value.endswith("|"):
            raise UserError(
                f"'{key}' is a command", str(wav_scp), "write the path of an audio file instead"
            )
    path = Path(wav_scp).with_name(SEGMENTS)
    if not path.is_file():
        return {key: Recording(file) for key, file in files.items()}
    rows, errors = scan_segments(path, files)
    errors += channel_errors(path.parent)
    if errors:
        raise UserError(errors[0])
    return {
        row.key: Recording(files[row.recording], row.start, row.end, f"{path}:{row.line}")
        for row in rows
    }
