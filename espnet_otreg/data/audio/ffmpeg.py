"""Decoding with FFmpeg, in which every error counts."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from espnet_otreg.data.audio.decoded import Decoded, Samples, damaged, unknown

# By default FFmpeg fills in what it cannot decode.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
_LEFT_OUT_SECONDS = 0.1  # decoders may keep a frame or two of a declared duration


def _as_floats(frame: Any) -> Samples:
    """(frames, channels); full scale is 1."""
    values = frame.to_ndarray()
    channels = frame.layout.nb_channels
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if values.dtype.kind == "f":
        return np.asarray(values, np.float32)
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
    return (values / -float(np.iinfo(values.dtype).min)).astype(np.float32)


def _is_lossy(context: Any) -> bool:
    """Whether a coding always loses something; WavPack may, and is taken to be exact."""
    return bool(context.codec.lossy and not context.codec.lossless)


class _Collected:
    """Frames that must agree in rate and channels."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pieces: list[Samples] = []
        self.rate = 0

    def add(self, frame: Any) -> None:
        """Append a decoded frame."""
        samples = _as_floats(frame)
        if self.pieces and (frame.sample_rate, samples.shape[1]) != (
            self.rate,
            self.pieces[0].shape[1],
        ):
            raise damaged(self.name, "its rate or number of channels changes")
        self.rate = frame.sample_rate
        self.pieces.append(samples)

    def joined(self) -> Samples:
        """All frames, (frames, channels)."""
        return np.concatenate(self.pieces) if self.pieces else np.zeros((0, 1), np.float32)


def decode_packets(codec: str, packets: Iterable[bytes], name: str, **options: int) -> Decoded:
    """Decode pieces of a coding that are known to be whole.

    Args:
        codec: FFmpeg's name of the decoder.
        packets: one frame of the coding each.
        name: of the file, for messages.
        options: attributes of the decoder, as ``sample_rate``.

    Raises:
        UserError: if one of them cannot be decoded.
    """
    import av

    collected = _Collected(name)
    try:
        context: Any = av.CodecContext.create(codec, "r")
        context.options = _STRICT
        for key, value in options.items():
            setattr(context, key, value)
        for packet in packets:
            for frame in context.decode(av.Packet(packet)):
                collected.add(frame)
        for frame in context.decode(None):
            collected.add(frame)
    except (av.FFmpegError, ValueError) as error:
        done = sum(map(len, collected.pieces)) / (collected.rate or 1)
        raise damaged(name, f"after {done:.2f} s: {_reason(error)}") from error
    return Decoded(collected.joined(), collected.rate, lossy=_is_lossy(context))


def decode_container(
    content: bytes, name: str, container: str | None, formats: tuple[str, ...] = ()
) -> tuple[Decoded, float | None]:
    """Decode the first audio stream of a file.

    Args:
        content: of the file.
        name: of it, for messages.
        container: FFmpeg's name of the format; None to find it out.
        formats: those that may be found.

    Returns:
        The recording, and the seconds that the container declares.

    Raises:
        UserError: if it is no audio, another format, or any error was met.
    """
    import av

    collected = _Collected(name)
    try:
        opened: Any = av.open(io.BytesIO(content), format=container, options=dict(_STRICT))
        with opened as file:
            if formats and file.format.name not in formats:
                raise unknown(name, f"{file.format.long_name}, which does not say how long it is")
            # A stream of an unknown coding has no context.
            streams = [s for s in file.streams.audio if s.codec_context is not None]
            if not streams:
                raise unknown(name, "it has no sound that can be decoded")
            stream = streams[0]
            stream.codec_context.options = dict(_STRICT)
            lossy = _is_lossy(stream.codec_context)
            seconds = None
            if stream.duration and stream.time_base:
                seconds = float(stream.duration * stream.time_base)
            elif file.duration:
                seconds = file.duration / av.time_base
            for packet in file.demux(stream):
                if packet.is_corrupt:
                    raise damaged(name, "a packet is marked as such")
                for frame in packet.decode():
                    collected.add(frame)
            if not collected.pieces:
                return Decoded(collected.joined(), stream.rate or 1), seconds
    except (av.FFmpegError, ValueError) as error:
        if collected.pieces:
            done = sum(map(len, collected.pieces)) / collected.rate
            raise damaged(name, f"after {done:.2f} s: {_reason(error)}") from error
        raise unknown(name) from error
    return Decoded(collected.joined(), collected.rate, lossy=lossy), seconds


def is_short_of(decoded: Decoded, seconds: float | None) -> bool:
    """Whether clearly less was decoded than a container declares."""
    found = len(decoded.samples) / decoded.rate
    return seconds is not None and found < seconds - _LEFT_OUT_SECONDS


def _reason(error: Exception) -> str:
    code = getattr(error, "errno", None)
    return str(getattr(error, "strerror", "") or (os.strerror(code) if code else error)).lower()
