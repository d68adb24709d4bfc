"""Any audio file to 16-bit mono: the odd formats by their own decoder, the rest by libsndfile."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.errors import UserError
from espnet_otreg.files import naming_file

Samples = NDArray[np.float32]

G722_RATE, G722_BYTES_PER_SECOND = 16000, 8000
ALS_RATE = 11025  # raw unsigned 8-bit samples of the drascula speech files
_OGG_LAST_PAGE = 0x04


def _truncated(path: Path) -> UserError:
    return UserError("the audio file is truncated", str(path), "copy or download it again")


def _check_whole(path: Path) -> None:
    """Raise if a WAV or Ogg file ends before its own header says so; libsndfile is silent here."""
    with open(path, "rb") as file:
        head = file.read(12)
        size = os.fstat(file.fileno()).st_size
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            # 0 and 2**32 - 1 are what a program writes that does not know the length beforehand.
            claimed = int.from_bytes(head[4:8], "little")
            if claimed not in (0, 0xFFFFFFFF) and claimed + 8 > size:
                raise _truncated(path)
        elif head[:4] == b"OggS":
            file.seek(max(0, size - 65536))
            tail = file.read()
            last = tail.rfind(b"OggS")
            if last < 0 or not tail[last + 5 : last + 6] or not tail[last + 5] & _OGG_LAST_PAGE:
                raise _truncated(path)


def _read_with_av(path: Path, container_format: str | None) -> tuple[Samples, int]:
    """Decode the first audio stream with FFmpeg: (frames, channels) floats and the rate."""
    import av

    try:
        with av.open(str(path), format=container_format) as container:
            # A stream of an unknown coding has no context, and would fail by an AttributeError.
            stream = [s for s in container.streams.audio if s.codec_context is not None][0]
            rate, channels = stream.rate, stream.channels
            resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=rate)
            chunks = [
                resampled.to_ndarray().reshape(-1, channels)
                for frame in container.decode(stream)
                for resampled in resampler.resample(frame)
            ]
    except (av.FFmpegError, IndexError) as error:
        raise UserError(
            "not an audio file that can be decoded", str(path), "give WAV, FLAC, Ogg or MP3"
        ) from error
    joined = np.concatenate(chunks) if chunks else np.zeros((0, channels), np.float32)
    return joined.astype(np.float32), int(rate)


def read_audio(path: str | Path) -> tuple[Samples, int]:
    """Decode a whole file.

    ``.g722`` and ``.als`` (raw unsigned 8-bit, 11,025 Hz) are known by their names, everything
    else by its content: WAV, FLAC, Ogg and MP3 through libsndfile, the rest through FFmpeg.

    Returns:
        Samples (frames, channels) in [-1, 1] and the rate in hertz.

    Raises:
        UserError: if the file is truncated, or is no audio.
        OSError: if it cannot be opened.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".g722":
        return _read_with_av(path, "g722") if path.stat().st_size else (_nothing(), G722_RATE)
    if kind == ".als":
        raw = np.frombuffer(path.read_bytes(), np.uint8)
        return ((raw.astype(np.float32) - 128.0) / 128.0)[:, None], ALS_RATE
    import soundfile

    _check_whole(path)
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return _read_with_av(path, None)
    return samples, int(rate)


def _nothing() -> Samples:
    return np.zeros((0, 1), np.float32)


def audio_seconds(path: str | Path) -> float:
    """Length in seconds, from the file's size or header where that is enough.

    Raises:
        UserError, OSError: as :func:`read_audio`.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".g722":
        return path.stat().st_size / G722_BYTES_PER_SECOND
    if kind == ".als":
        return path.stat().st_size / ALS_RATE
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError:
        samples, rate = read_audio(path)
        return len(samples) / rate


def read_mono(path: str | Path, rate: int | None, mix_channels: bool = False) -> Samples:
    """Decode, check and resample one recording.

    Args:
        path: an audio file.
        rate: the wanted rate in hertz; None keeps the file's own.
        mix_channels: average the channels of a stereo file instead of refusing it.

    Returns:
        Samples (frames,) in [-1, 1].

    Raises:
        UserError: if it is empty, truncated, stereo, not audio, or has NaN samples.
    """
    import soxr

    samples, found = read_audio(path)
    if not len(samples):
        raise UserError("the audio is empty", str(path), "remove the utterance")
    if not np.isfinite(samples).all():
        raise UserError("the audio has NaN or infinite samples", str(path), "make the file again")
    channels = samples.shape[1]
    if channels > 1 and not mix_channels:
        raise UserError(
            f"the audio has {channels} channels, not one",
            str(path),
            f"make it mono (sox {path} -c 1 mono.wav) or mix the channels with --mix_channels",
        )
    mono = samples.mean(axis=1, dtype=np.float32)
    return mono if rate in (None, found) else soxr.resample(mono, found, rate).astype(np.float32)


def write_wav(path: str | Path, samples: Samples, rate: int) -> None:
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
