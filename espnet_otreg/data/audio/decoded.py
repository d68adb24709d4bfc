"""A decoded recording, and the errors of damaged ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.errors import UserError

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Decoded:
    """A whole recording.

    Attributes:
        samples: (frames, channels), as the file has them: full scale is 1.
        rate: in hertz.
        declared: whether anything in the file says how long it is. Where nothing does, a cut
            between two frames of the coding cannot be seen.
        lossy: whether the coding keeps the sound only nearly, and may so come out louder than it
            went in.
    """

    samples: Samples
    rate: int
    declared: bool = True
    lossy: bool = False


def truncated(name: str, detail: str = "") -> UserError:
    """The error of a file that ends too early.

    >>> print(truncated("a.wav", "32 of 64 bytes are there"))
    a.wav: the audio file is truncated (32 of 64 bytes are there); copy or download it again
    """
    shown = f" ({detail})" if detail else ""
    return UserError(f"the audio file is truncated{shown}", name, "copy or download it again")


def damaged(name: str, detail: str) -> UserError:
    """The error of a file whose content contradicts itself.

    >>> print(damaged("a.mp3", "no frame begins at byte 7"))
    a.mp3: the audio file is damaged (no frame begins at byte 7); copy or download it again
    """
    return UserError(f"the audio file is damaged ({detail})", name, "copy or download it again")


def unknown(name: str, detail: str = "") -> UserError:
    """The error of what no decoder takes.

    >>> print(unknown("a.txt"))
    a.txt: not an audio file that can be decoded; give WAV, FLAC, Ogg or MP3
    """
    shown = f" ({detail})" if detail else ""
    return UserError(
        f"not an audio file that can be decoded{shown}", name, "give WAV, FLAC, Ogg or MP3"
    )
