"""Batches for the tests of the regularizers."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from espnet_otreg.regularizers import AlignmentBatch
from espnet_otreg.slm.readout import TokenReadout

VOCABULARY, DIM, ANCHOR = 20, 16, 0


@pytest.fixture
def table() -> torch.Tensor:
    """An embedding table (VOCABULARY, DIM)."""
    return torch.randn(VOCABULARY, DIM, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def make_batch(table) -> Callable[..., AlignmentBatch]:
    """``make_batch(transcripts, frames)``: random speech, padding full of NaN on both sides."""

    def make(
        transcripts: Sequence[Sequence[int]], frames: Sequence[int], seed: int = 0
    ) -> AlignmentBatch:
        size_s, size_t = max(frames), max(map(len, transcripts))
        count = len(transcripts)
        generator = torch.Generator().manual_seed(seed)
        speech_mask = torch.arange(size_s) < torch.tensor(frames)[:, None]
        speech = torch.randn(count, size_s, DIM, generator=generator)
        speech = torch.where(speech_mask[:, :, None], speech, torch.nan)
        ids = torch.full((count, size_t), -1)
        for row, transcript in zip(ids, transcripts, strict=True):
            row[: len(transcript)] = torch.tensor(transcript, dtype=torch.long)
        text_mask = ids >= 0
        text = torch.where(text_mask[:, :, None], table[ids.clamp(min=0)], torch.nan)
        readout = TokenReadout(range(1, 12), ANCHOR, VOCABULARY, lambda class_ids: table[class_ids])
        return AlignmentBatch(
            speech.requires_grad_(),
            speech_mask,
            text,
            ids,
            text_mask,
            table[ANCHOR],
            ANCHOR,
            0.04,
            readout,
        )

    return make


@pytest.fixture
def one_of() -> Callable[[AlignmentBatch, int], AlignmentBatch]:
    """``one_of(batch, b)``: utterance b alone, without padding."""

    def take(batch: AlignmentBatch, b: int) -> AlignmentBatch:
        s, t = int(batch.speech_mask[b].sum()), int(batch.text_mask[b].sum())
        return replace(
            batch,
            speech=batch.speech[b : b + 1, :s].detach().requires_grad_(),
            speech_mask=batch.speech_mask[b : b + 1, :s],
            text=batch.text[b : b + 1, :t],
            text_ids=batch.text_ids[b : b + 1, :t],
            text_mask=batch.text_mask[b : b + 1, :t],
        )

    return take
