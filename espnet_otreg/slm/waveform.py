"""The waveforms of utterances for an encoder, with a sentence that names what cannot be used."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.audio import CONVERSIONS
from espnet_otreg.data.audio.options import DEFAULT_AUDIO, AudioOptions
from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.errors import UserError, sentence_for

SAMPLE_RATE = 16000


def refuse_too_long(samples: int, longest: int, where: str) -> None:
    """Raise if a waveform has more samples than the encoder takes.

    Args:
        samples: of the waveform.
        longest: what the encoder takes.
        where: the utterance and its file.

    Raises:
        UserError: in that case.

    >>> refuse_too_long(480000, 480000, "utterance a (a.wav)")
    """
    if samples > longest:
        raise UserError(
            f"the recording lasts {samples / SAMPLE_RATE:.1f} s, more than the "
            f"{longest / SAMPLE_RATE:.0f} s that the encoder takes",
            where,
            "cut or remove it",
        )


def read_waveform(
    recording: Recording | str | Path,
    utterance: str,
    options: AudioOptions = DEFAULT_AUDIO,
    longest: int = sys.maxsize,
) -> NDArray[np.float32]:
    """The samples of an utterance, (N,) at 16 kHz.

    Args:
        recording: where its speech is.
        utterance: its id, for messages.
        options: whether it may be resampled and its channels mixed.
        longest: samples that the encoder takes.

    Raises:
        UserError: naming utterance and file, if it cannot be used.
    """
    if not isinstance(recording, Recording):
        recording = Recording(str(recording))
    where = f"utterance {utterance} ({recording})"
    try:
        samples = recording.read(SAMPLE_RATE, options)
    except (UserError, OSError) as error:
        raise UserError(f"the recording cannot be read: {sentence_for(error)}", where) from error
    refuse_too_long(len(samples), longest, where)
    return samples


class SoundTable(Mapping[str, NDArray[np.float32]]):
    """The waveforms that a ``wav.scp`` lists, read when they are asked for.

    What is resampled or mixed is said once, whichever process reads it first.

    Args:
        path: of ``wav.scp``; ``segments`` beside it is read too.
        options: whether recordings may be resampled and mixed.
        longest: samples that the encoder takes.

    Raises:
        UserError: if a table is malformed; on access, as :func:`read_waveform`.
    """

    def __init__(
        self,
        path: str | Path,
        options: AudioOptions = DEFAULT_AUDIO,
        longest: int = sys.maxsize,
    ) -> None:
        self._recordings = read_recordings(path)
        self._options, self._longest = options, longest
        self._said = multiprocessing.Value("b", 0)

    def __getitem__(self, key: str) -> NDArray[np.float32]:
        samples = read_waveform(self._recordings[key], key, self._options, self._longest)
        if not self._said.value and (sentences := CONVERSIONS.sentences()):
            with self._said.get_lock():
                first, self._said.value = not self._said.value, 1
            if first:
                for sentence in sentences:
                    print(f"{sentence}; others are not listed", file=sys.stderr, flush=True)
        return samples

    def __iter__(self) -> Iterator[str]:
        return iter(self._recordings)

    def __len__(self) -> int:
        return len(self._recordings)
