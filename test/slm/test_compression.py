"""Compression: runs merge, silence goes, one embedding always stays."""

from __future__ import annotations

import pytest
import torch

from espnet_otreg.slm.compression import compress, merge_segments
from espnet_otreg.slm.config import CompressionConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings
from espnet_otreg.slm.readout import TokenReadout

TABLE = torch.eye(5)  # token 0 is the anchor


def _speech(*tokens: int, padding: int = 0) -> SpeechEmbeddings:
    values = torch.cat([TABLE[list(tokens)], torch.zeros(padding, 5)])[None]
    mask = torch.arange(len(tokens) + padding)[None] < len(tokens)
    return SpeechEmbeddings(values, mask, 0.06)


@pytest.fixture
def readout() -> TokenReadout:
    return TokenReadout([1, 2, 3, 4], 0, 5, lambda ids: TABLE[ids], initial_scale=50.0)


def test_ctc_compression_leaves_one_embedding_per_read_token(readout: TokenReadout) -> None:
    speech = _speech(0, 1, 1, 0, 1, 2, 2, 2, 0, padding=3)
    compressed = compress(speech, CompressionConfig("ctc"), readout, TABLE[0])
    # A blank between two equal tokens keeps them apart, exactly as in CTC decoding.
    assert compressed.values[0].argmax(dim=-1).tolist() == [1, 1, 2]
    assert compressed.lengths.tolist() == [3]


def test_similarity_compression_merges_pairs_and_drops_the_anchor() -> None:
    speech = _speech(1, 1, 1, 2, 0, 0, 3)
    compressed = compress(speech, CompressionConfig("similarity"), None, TABLE[0])
    # Pairs are (0, 1), (2, 3), (4, 5), (6): only the first is alike.
    assert compressed.values[0].argmax(dim=-1).tolist() == [1, 1, 2, 3]


@pytest.mark.parametrize("method", ["ctc", "similarity"])
def test_silence_alone_keeps_one_embedding(readout: TokenReadout, method: str) -> None:
    compressed = compress(_speech(0, 0, 0), CompressionConfig(method), readout, TABLE[0])
    assert compressed.values.tolist() == [[TABLE[0].tolist()]]


def test_none_changes_nothing(readout: TokenReadout) -> None:
    speech = _speech(0, 1, 1)
    assert compress(speech, CompressionConfig("none"), readout, TABLE[0]) is speech


def test_batch_mates_do_not_matter_and_gradient_reaches_kept_frames_only() -> None:
    torch.manual_seed(0)
    values = torch.randn(2, 6, 3, requires_grad=True)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    keep = torch.rand(2, 6) > 0.3
    starts = keep & (torch.rand(2, 6) > 0.5)
    starts |= keep & (keep.long().cumsum(1) == 1)
    merged = merge_segments(SpeechEmbeddings(values, mask, 0.06), keep, starts)
    for index in range(2):
        size = int(mask[index].sum())
        alone = merge_segments(
            SpeechEmbeddings(
                values[index : index + 1, :size], mask[index : index + 1, :size], 0.06
            ),
            keep[index : index + 1, :size],
            starts[index : index + 1, :size],
        )
        torch.testing.assert_close(merged.values[index, : alone.values.size(1)], alone.values[0])
    merged.values.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad.abs().sum(-1) > 0, keep & mask)


def test_posterior_values_lie_among_the_tokens_and_carry_gradient(readout: TokenReadout) -> None:
    speech = _speech(0, 1, 1, 0, 2)
    values = (speech.values + 0.2).requires_grad_()
    embeddings = SpeechEmbeddings(values, speech.mask, 0.06)
    config = CompressionConfig("ctc", values="posterior")
    compressed = compress(embeddings, config, readout, TABLE[0])
    # Convex combinations of the unit vectors 1..4: non-negative, sum 1, nothing of the anchor.
    assert (compressed.values >= 0).all() and (compressed.values[..., 0] == 0).all()
    torch.testing.assert_close(compressed.values.sum(dim=-1), torch.ones(1, 2))
    assert compressed.values[0].argmax(dim=-1).tolist() == [1, 2]
    compressed.values[0, 0, 1].backward()
    assert values.grad is not None and values.grad.abs().sum() > 0
