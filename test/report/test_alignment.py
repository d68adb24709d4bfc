"""Distances of speech to transcripts, against the loss and against plain loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from espnet_otreg.regularizers.base import AlignmentBatch
from espnet_otreg.report.alignment import SETTINGS, Anisotropy, compare, make_transcripts

TABLE = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))


def _embed(ids: Tensor) -> Tensor:
    return TABLE[ids]


def test_transport_is_that_of_the_loss() -> None:
    speech = torch.randn(12, 8, generator=torch.Generator().manual_seed(1))
    ids = [4, 9, 4, 2, 17]
    transcripts = make_transcripts([[3, 5], ids], anchor_id=0, embed=_embed)
    text = torch.tensor([ids])
    batch = AlignmentBatch(
        speech=speech[None],
        speech_mask=torch.ones(1, 12, dtype=torch.bool),
        text=TABLE[text],
        text_ids=text,
        text_mask=torch.ones_like(text, dtype=torch.bool),
        anchor=TABLE[0],
        anchor_id=0,
        frame_seconds=0.06,
        readout=None,
    )
    expected = SETTINGS.build().align(batch).solution
    measured = compare(speech, transcripts)
    assert measured.transport[1].item() == pytest.approx(expected.linear_cost.item(), abs=1e-5)
    plan = expected.coupling[0][:, expected.coupling[0].sum(0) > 0]
    torch.testing.assert_close(measured.coupling[1][:, :5], plan)


def test_other_transcripts_do_not_matter() -> None:
    speech = torch.randn(9, 8, generator=torch.Generator().manual_seed(2))
    many = make_transcripts([[3, 5, 6, 7], [8], [1, 2]], anchor_id=0, embed=_embed)
    alone = make_transcripts([[8]], anchor_id=0, embed=_embed)
    together, single = compare(speech, many), compare(speech, alone)
    assert together.transport[1].item() == pytest.approx(single.transport.item(), abs=1e-6)
    assert together.best_cosine[1].item() == pytest.approx(single.best_cosine.item(), abs=1e-6)
    part = compare(speech, many[[1]])
    assert part.coupling.shape == single.coupling.shape


def test_best_cosine_is_the_mean_over_tokens_of_the_nearest_frame() -> None:
    speech = torch.randn(7, 8, generator=torch.Generator().manual_seed(3))
    ids = [11, 3, 11]
    expected = [
        max(torch.cosine_similarity(frame, TABLE[token], dim=0).item() for frame in speech)
        for token in (11, 3)
    ]
    measured = compare(speech, make_transcripts([ids], anchor_id=0, embed=_embed))
    assert measured.best_cosine.item() == pytest.approx(sum(expected) / 2, abs=1e-6)


def test_anisotropy_is_the_mean_cosine_of_all_pairs() -> None:
    vectors = TABLE[:6] + 0.5
    pairs = [
        torch.cosine_similarity(vectors[i], vectors[j], dim=0).item()
        for i in range(6)
        for j in range(i)
    ]
    seen = Anisotropy()
    for part in vectors.split(4):
        seen.add(part)
    assert seen.value() == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    alone = Anisotropy()
    assert alone.value() == 0.0
    alone.add(vectors[:1])
    assert alone.value() == 0.0
