"""Reading of recordings in any form as checked mono samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.arguments import checked
from espnet_otreg.data.audio.conversions import CONVERSIONS, Conversions
from espnet_otreg.data.audio.decode import decode, seconds_of
from espnet_otreg.data.audio.decoded import Decoded
from espnet_otreg.data.audio.samples import (
    LARGEST,
    LARGEST_LOSSY,
    as_array,
    as_numpy,
    check_samples,
    frames_first,
    mix,
    scaled,
)
from espnet_otreg.data.audio.source import AudioSource, Source, is_source, read_source
from espnet_otreg.data.segments import OVERSHOOT
from espnet_otreg.errors import UserError

Samples = NDArray[np.float32]

_SMALLEST_RATE, _LARGEST_RATE = 1000, 10_000_000  # hertz; what is beyond is a mistake


@dataclass(frozen=True)
class Policy:
    """What is made of a recording.

    Attributes:
        rate: in hertz; None keeps its own.
        mix_channels: average several channels; if false they are refused.
        resample: convert another rate; if false it is refused.
        seen: counts what is converted.
    """

    rate: int | None
    mix_channels: bool = True
    resample: bool = True
    seen: Conversions = field(default_factory=lambda: CONVERSIONS)

    def __post_init__(self) -> None:
        if self.rate is not None and not _SMALLEST_RATE <= self.rate <= _LARGEST_RATE:
            raise UserError(f"{self.rate} Hz is no rate of speech", "rate", "give it in hertz")

    def convert(self, decoded: Decoded, where: str) -> Samples:
        """(N, channels) floats to (N,) at the wanted rate.

        A lossy coding that comes out louder than full scale is clipped there, as whoever plays it
        or writes it as 16-bit samples does, and counted.
        """
        mono = self._convert(decoded, where)
        if decoded.lossy and float(np.abs(mono).max()) > 1.0:
            self.seen.note_clipped(where)
            mono = np.clip(mono, -1.0, 1.0)
        return mono

    def _convert(self, decoded: Decoded, where: str) -> Samples:
        import soxr

        samples, found = decoded.samples, decoded.rate
        check_decoded(decoded, where)
        if not _SMALLEST_RATE <= found <= _LARGEST_RATE:
            raise UserError(f"{found} Hz is no rate of speech", where, "correct its header")
        channels, rate = samples.shape[1], self.rate
        if channels > 1 and not self.mix_channels:
            raise UserError(
                f"the audio has {channels} channels, not one",
                where,
                "make it mono, or let the channels be averaged (mix_channels true)",
            )
        if rate not in (None, found) and not self.resample:
            raise UserError(
                f"the rate is {found} Hz, not {rate}",
                where,
                "convert it, or let it be resampled (resample true)",
            )
        mono = mix(samples, where)
        self.seen.note(found, rate, channels, where)
        if rate in (None, found):
            return mono
        resampled: Samples = soxr.resample(mono, found, rate).astype(np.float32)
        if not len(resampled):
            raise UserError("the audio is empty at this rate", where, "remove the utterance")
        return resampled


def check_decoded(decoded: Decoded, where: str) -> None:
    """Raise unless the samples of a recording can be sound.

    Raises:
        UserError: if there are none, or NaN, infinity, or values far beyond full scale; a lossy
            coding may go further than exact samples.
    """
    check_samples(decoded.samples, where, LARGEST_LOSSY if decoded.lossy else LARGEST)


def span(decoded: Decoded, start: float | None, end: float | None, where: str) -> Decoded:
    """The part between two times.

    Args:
        decoded: the whole recording.
        start, end: seconds; None is its beginning, its end.
        where: for messages.

    Raises:
        UserError: unless both lie inside, up to :data:`espnet_otreg.data.segments.OVERSHOOT`.
    """
    seconds = len(decoded.samples) / decoded.rate
    first = 0.0 if start is None else float(start)
    last = seconds if end is None else float(end)
    if not 0 <= first < last < float("inf"):
        raise UserError(f"no span from {first:g} to {last:g} s", where, "correct the segment")
    if first >= seconds or last > seconds + OVERSHOOT:
        raise UserError(
            f"a span from {first:g} to {last:g} s ends after the recording, which lasts "
            f"{seconds:.2f} s",
            where,
            "correct the segment",
        )
    frames = slice(round(first * decoded.rate), round(last * decoded.rate))
    return dataclasses.replace(decoded, samples=decoded.samples[frames])


@checked
def read_mono(
    source: AudioSource,
    rate: int | None,
    mix_channels: bool = True,
    resample: bool = True,
    *,
    start: float | None = None,
    end: float | None = None,
) -> Samples:
    """Decode, check, mix and resample one recording.

    Args:
        source: path, bytes or binary file; pipes are read to their end.
        rate: the wanted rate in hertz; None keeps the file's own.
        mix_channels: average several channels; if false they are refused.
        resample: convert another rate; if false it is refused.
        start, end: seconds, of a part of the recording.

    Returns:
        Samples (N,); full scale is 1.

    Raises:
        UserError: if it is empty, truncated, damaged or no audio, has NaN or integers for floats,
            channels that cancel each other out, or a part that is not inside.
        OSError: if it cannot be opened.
    """
    policy = Policy(rate, mix_channels, resample)
    return read_declared(read_source(source), policy, start, end)[0]


def read_declared(
    source: Source, policy: Policy, start: float | None = None, end: float | None = None
) -> tuple[Samples, bool]:
    """The same by a policy; also whether the file says how long it is.

    Raises:
        UserError: as :func:`read_mono`.
    """
    decoded = decode(source)
    if start is not None or end is not None:
        check_decoded(decoded, source.name)
        decoded = span(decoded, start, end, source.name)
    return policy.convert(decoded, source.name), decoded.declared


@checked
def audio_seconds(source: AudioSource) -> float:
    """Length in seconds of what :func:`read_mono` gives, decoded only where that is necessary.

    Raises:
        UserError, OSError: as :func:`read_mono`, as far as it is seen without decoding.
    """
    return seconds_of(read_source(source))


@checked
def speech_samples(
    audio: Any, rate: int = 16000, mix_channels: bool = True, resample: bool = True
) -> Samples:
    """Mono samples of a recording given as path, bytes, file object, array or tensor.

    Args:
        audio: a path, bytes or binary file; an array or tensor of samples at ``rate``, (N,),
            (channels, N) or (N, channels), integers being scaled by their type; or what Hugging
            Face ``datasets`` give: ``{"array": ..., "sampling_rate": ...}``,
            ``{"bytes": ..., "path": ...}``, or a decoder with ``get_all_samples``.
        rate: the wanted rate in hertz.
        mix_channels: average several channels; if false they are refused.
        resample: convert another rate; if false it is refused.

    Returns:
        Samples (N,); full scale is 1.

    Raises:
        UserError: if it is no recording, or as :func:`read_mono`.
        OSError: if a file cannot be opened.

    >>> import numpy as np
    >>> speech_samples(np.array([0, 16384, -32768], np.int16)).tolist()
    [0.0, 0.5, -1.0]
    >>> len(speech_samples({"array": np.zeros(800), "sampling_rate": 8000}))
    1600
    """
    policy = Policy(rate, mix_channels, resample)
    if is_source(audio):
        return read_declared(read_source(audio), policy)[0]
    if callable(getattr(audio, "get_all_samples", None)):
        decoded = audio.get_all_samples()
        audio = {"array": decoded.data, "sampling_rate": decoded.sample_rate}
    found, where = rate, "the given array"
    if isinstance(audio, Mapping):
        where = "the given dictionary"
        if audio.get("array") is None:
            return read_declared(_source_of(audio), policy)[0]
        found, audio = _sampling_rate(audio, where), audio["array"]
        audio = as_numpy(audio, where) if isinstance(audio, (list, tuple)) else audio
    samples = frames_first(scaled(as_array(audio, where), where), where)
    return policy.convert(Decoded(samples, found), where)


def _sampling_rate(audio: Mapping[str, Any], where: str) -> int:
    found: Any = audio.get("sampling_rate")
    is_number = isinstance(found, (int, float, np.integer, np.floating))
    if isinstance(found, bool) or not is_number or not 0 < found < _LARGEST_RATE:
        raise UserError(f"sampling_rate is {found!r}", where, "give it in hertz")
    if found != int(found):
        raise UserError(f"sampling_rate is {found!r}", where, "give whole hertz")
    return int(found)


def _source_of(audio: Mapping[str, Any]) -> Source:
    content, path = audio.get("bytes"), audio.get("path")
    if content is None and path is None:
        raise UserError(
            f"a dictionary with {', '.join(map(str, audio)) or 'nothing'} is no recording",
            mend="give array and sampling_rate, or bytes, or path",
        )
    if content is None:
        return read_source(str(path))
    source = read_source(content)
    if isinstance(path, str):  # the name of a file that need not exist
        source = Source(source.content, path, Path(path).suffix.lower())
    return source
