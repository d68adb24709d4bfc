"""Test utterances with their projected speech and transcript embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from espnet_otreg.data.ark import read_features
from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.data.languages import read_languages
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.references import read_domains
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.prompt import encode_transcript
from espnet_otreg.slm.waveform import longest_samples, read_waveform

BATCH = 16  # utterances that are encoded at once
POOL = 4 * BATCH  # utterances whose recordings are in memory


@dataclass(frozen=True)
class Utterance:
    """One test utterance; ``source`` is where its speech lies (a recording, or ``ark:offset``)."""

    key: str
    language: str
    domain: str
    text: str
    tokens: tuple[int, ...]
    source: Recording | str


def digest(key: str) -> str:
    """sha256 of an id: sorting by it shuffles, always in the same way.

    >>> sorted(["a", "b", "c"], key=digest)
    ['c', 'b', 'a']
    """
    return hashlib.sha256(key.encode()).hexdigest()


def read_utterances(directory: str | Path, model: SpokenLanguageModel) -> list[Utterance]:
    """The utterances of a test set that have a transcript.

    Raises:
        UserError: if the directory has not the kind of input that the model was trained with.
    """
    directory = Path(directory)
    precomputed = model.config.reads_features
    table = "feats.scp" if precomputed else "wav.scp"
    if not (directory / table).is_file():
        raise UserError(
            f"no {table} there, which this model reads", str(directory), "give another --data_dir"
        )
    sources: Mapping[str, Recording | str] = (
        read_table(directory / table) if precomputed else read_recordings(directory / table)
    )
    texts = read_table(directory / "text")
    languages = read_languages(directory / "utt2lang")
    domains = read_domains(directory, texts)
    utterances = []
    for key in sorted(sources):
        tokens = tuple(encode_transcript(model.llm.tokenizer, texts[key]))
        if tokens:
            facts = (languages[key], domains[key], texts[key])
            utterances.append(Utterance(key, *facts, tokens, sources[key]))
    return utterances


def read_speech(utterance: Utterance, model: SpokenLanguageModel) -> np.ndarray:
    """Features (T, D) or samples (N,), float32, whichever the model reads.

    Raises:
        UserError: if the file cannot be read or is too long, naming the utterance.
    """
    if model.config.reads_features:
        return read_features(str(utterance.source), utterance.key)
    return read_waveform(utterance.source, utterance.key, longest=longest_samples(model))


@torch.no_grad()
def stream_speech(
    model: SpokenLanguageModel, utterances: Sequence[Utterance]
) -> Iterator[tuple[Utterance, Tensor]]:
    """Each utterance with its projector output (S, D) before compression, in batches.

    However many utterances there are, no more than :data:`POOL` recordings and the output of one
    batch are in memory. Within a pool those of like length go together, so that little is padded.

    Raises:
        UserError: as :func:`read_speech`.
    """
    for start in range(0, len(utterances), POOL):
        yield from _stream_pool(model, utterances[start : start + POOL])


def _stream_pool(
    model: SpokenLanguageModel, utterances: Sequence[Utterance]
) -> Iterator[tuple[Utterance, Tensor]]:
    """See :func:`stream_speech`; a function of its own, so that its end frees the recordings."""
    device = model.projector.gain.device
    pool = [(one, torch.from_numpy(read_speech(one, model))) for one in utterances]
    pool.sort(key=lambda item: len(item[1]))
    for first in range(0, len(pool), BATCH):
        batch = pool[first : first + BATCH]
        speech = [values for _, values in batch]
        padded = torch.nn.utils.rnn.pad_sequence(speech, batch_first=True)
        lengths = torch.tensor([len(values) for values in speech])
        output = model.encode(padded.to(device), lengths.to(device))
        for (utterance, _), values, mask in zip(batch, output.values, output.mask, strict=True):
            yield utterance, values[mask]
