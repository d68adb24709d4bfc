"""Arrays of samples of any type to mono float samples, full scale being 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.errors import UserError

Samples = NDArray[np.float32]

# Float WAV files before their master overshoot full scale by a few decibels; 6 dB is more than they
# do. Whoever has left 16-bit integers in an array of floats passes 2 with any sound louder than
# -84 dB.
LARGEST = 2.0
# Vorbis, MP3, AAC and Opus come out louder than what went in where that was driven into its limits;
# volunteers' Ogg files were seen to reach 2.1. 18 dB is no overshoot of a coding any more.
LARGEST_LOSSY = 8.0
# What is left of channels after averaging, relative to their own level: 1 / sqrt(channels) if they
# have nothing in common, about 0 if one is the negative of the other.
_CANCELLED = 0.1
_MOST_CHANNELS = 64
_FULL_SCALE = {"int8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}


def check_samples(samples: NDArray[Any], where: str, largest: float = LARGEST) -> None:
    """Raise unless float samples can be sound.

    Args:
        samples: float samples of any shape.
        where: what they are, for messages.
        largest: the magnitude that they may have.

    Raises:
        UserError: if there are none, or NaN, infinity, or values far beyond full scale.
    """
    if not samples.size:
        raise UserError("the audio is empty", where, "remove the utterance")
    peak = float(max(samples.max(), -samples.min()))  # NaN is the maximum of anything with NaN
    if not np.isfinite(peak):
        raise UserError("the audio has NaN or infinite samples", where, "make it again")
    if peak > largest:
        raise UserError(
            f"samples reach {peak:g} where full scale is 1",
            where,
            "divide by the full scale they were made with (32768 for 16 bit)",
        )


def scaled(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Samples of any numeric type as floats whose full scale is 1.

    ``int8``, ``int16`` and ``int32`` are divided by their largest magnitude, ``uint8`` is centred
    at 128, floats stay. 24-bit samples in ``int32`` are taken to fill its upper bits, as every
    decoder gives them.

    Raises:
        UserError: for all other types, and for ``int32`` that seems to hold 16-bit or 24-bit
            samples in its lower bits.

    >>> scaled(np.array([-32768, 16384], np.int16), "array").tolist()
    [-1.0, 0.5]
    >>> scaled(np.array([0, 128], np.uint8), "array").tolist()
    [-1.0, 0.0]
    """
    kind = array.dtype.name
    if array.dtype.kind == "f":
        return array
    if kind == "uint8":
        return (array.astype(np.float32) - np.float32(128)) / np.float32(128)
    if kind not in _FULL_SCALE:
        raise UserError(
            f"samples of type {kind} have no known full scale",
            where,
            "give floats in [-1, 1], int16, int32 or uint8",
        )
    if kind == "int32" and array.size:
        peak = max(int(array.max()), -int(array.min()))
        if 0 < peak < 2**16:
            raise UserError(
                "int32 samples lie below the least step of 16 bit",
                where,
                "if they are 16-bit samples, give them as int16",
            )
        if peak <= 2**23 and np.any(array & 0xFF):
            raise UserError(
                "int32 samples lie in the lower 24 bits",
                where,
                "if they are 24-bit samples, multiply them by 256",
            )
    return (array / _FULL_SCALE[kind]).astype(np.float32)


def frames_first(array: NDArray[Any], where: str) -> NDArray[Any]:
    """(N,), (channels, N) or (N, channels) to (N, channels): the shorter side is the channels.

    Raises:
        UserError: for any other shape.

    >>> frames_first(np.zeros((2, 100)), "array").shape
    (100, 2)
    """
    if array.ndim == 1:
        return array[:, None]
    if array.ndim == 2 and array.size:
        channels = min(array.shape)
        if array.shape[0] != array.shape[1] and channels <= _MOST_CHANNELS:
            return array if channels == array.shape[1] else array.T
    if array.ndim == 2 and not array.size:
        raise UserError("the audio is empty", where, "remove the utterance")
    raise UserError(
        f"an array of shape {array.shape} is no recording",
        where,
        "give (samples,) or (channels, samples); several recordings as a list",
    )


def mix(samples: NDArray[Any], where: str) -> Samples:
    """(N, channels) to (N,): the average of the channels.

    Raises:
        UserError: if they cancel each other out, as they do with one of two channels inverted.

    >>> mix(np.array([[0.5, 0.25], [0.0, 1.0]]), "array").tolist()
    [0.375, 0.5]
    """
    if samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0], np.float32)
    mono = samples.mean(axis=1, dtype=np.float64)
    # The deviation, not the level: a constant offset says nothing about cancellation.
    before = float(np.sqrt(np.mean(np.var(samples, axis=0, dtype=np.float64))))
    if float(mono.std()) < _CANCELLED * before:
        raise UserError(
            f"the {samples.shape[1]} channels cancel each other out",
            where,
            "invert one of them, or keep one only",
        )
    return mono.astype(np.float32)


def as_array(value: Any, where: str) -> NDArray[Any]:
    """A NumPy array of a tensor, an array or another object with ``__array__``.

    Raises:
        UserError: if that is not possible.
    """
    if not isinstance(value, np.ndarray) and not hasattr(value, "__array__"):
        raise UserError(
            f"expected a recording, found {type(value).__name__}",
            where,
            "give a path, bytes, a binary file, an array, or a dictionary with array and "
            "sampling_rate",
        )
    return as_numpy(value, where)


def as_numpy(value: Any, where: str) -> NDArray[Any]:
    """A NumPy array of a tensor, an array or nested lists.

    Raises:
        UserError: if it has no values in one place, as a sparse tensor, or rows of several lengths.

    >>> as_numpy([[0.5], [0.25]], "list").shape
    (2, 1)
    """
    try:
        if callable(getattr(value, "detach", None)):  # a tensor, which may be on a GPU
            value = value.detach().cpu()
            if "bfloat16" in str(getattr(value, "dtype", "")):  # NumPy has no such type
                value = value.float()
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(value).__name__
        raise UserError(
            f"this {kind} is no array of samples ({str(error).splitlines()[0].rstrip('.')})",
            where,
            "give a plain array of floats in [-1, 1]",
        ) from error
