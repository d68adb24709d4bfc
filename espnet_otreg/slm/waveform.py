"""The waveforms of utterances for an encoder, with a sentence that names what cannot be used."""

from __future__ import annotations

import functools
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.audio import CONVERSIONS, Conversions
from espnet_otreg.data.audio.conversions import KINDS
from espnet_otreg.data.audio.options import DEFAULT_AUDIO, AudioOptions
from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.slm.config import parse_slm_config

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
    seen: Conversions = CONVERSIONS,
) -> NDArray[np.float32]:
    """The samples of an utterance, (N,) at 16 kHz.

    Args:
        recording: where its speech is.
        utterance: its id, for messages.
        options: whether it may be resampled and its channels mixed.
        longest: samples that the encoder takes.
        seen: counts what is resampled, mixed and clipped.

    Raises:
        UserError: naming utterance and file, if it cannot be used.
    """
    if not isinstance(recording, Recording):
        recording = Recording(str(recording))
    where = f"utterance {utterance} ({recording})"
    try:
        samples = recording.read(SAMPLE_RATE, options, seen)
    except (UserError, OSError) as error:
        raise UserError(f"the recording cannot be read: {sentence_for(error)}", where) from error
    refuse_too_long(len(samples), longest, where)
    return samples


def longest_samples(model: Any) -> int:
    """Samples at 16 kHz that a spoken language model takes, by its encoder."""
    return int(getattr(model.encoder, "max_samples", sys.maxsize))


class Once:
    """Says the first conversion of each kind that any process of a training makes."""

    def __init__(self) -> None:
        self._said = {kind: multiprocessing.Value("b", 0) for kind in KINDS}

    def say(self, seen: Conversions) -> None:
        """Print what has been converted, unless one of its kind was printed before."""
        for kind, sentence in seen.by_kind().items():
            said = self._said[kind]
            with said.get_lock():
                first, said.value = not said.value, 1
            if first:
                print(f"{sentence}; others will not be mentioned", file=sys.stderr, flush=True)


class SoundTable(Mapping[str, NDArray[np.float32]]):
    """The waveforms that a ``wav.scp`` lists, read when they are asked for.

    Args:
        path: of ``wav.scp``; ``segments`` beside it is read too.
        options: whether recordings may be resampled and mixed.
        longest: samples that the encoder takes.
        once: says what is resampled and mixed.

    Raises:
        UserError: if a table is malformed; on access, as :func:`read_waveform`.
    """

    def __init__(
        self,
        path: str | Path,
        options: AudioOptions = DEFAULT_AUDIO,
        longest: int = sys.maxsize,
        once: Once | None = None,
    ) -> None:
        self._recordings = read_recordings(path)
        self._options, self._longest = options, longest
        self._once = once or Once()

    def __getitem__(self, key: str) -> NDArray[np.float32]:
        seen = Conversions()
        recording = self._recordings[key]
        samples = read_waveform(recording, key, self._options, self._longest, seen)
        self._once.say(seen)
        return samples

    def __iter__(self) -> Iterator[str]:
        return iter(self._recordings)

    def __len__(self) -> int:
        return len(self._recordings)


def sound_reader(values: Mapping[str, Any]) -> Callable[[str], SoundTable]:
    """What reads the recordings of a training: a function of the path of its ``wav.scp``.

    Args:
        values: the configuration of the training.

    Raises:
        ConfigErrors: if it is wrong.
        UserError: if the encoder is not there.
    """
    config = parse_slm_config(values)
    longest = config.encoder_conf.longest_samples()
    options = config.audio_conf
    return functools.partial(SoundTable, options=options, longest=longest, once=Once())
