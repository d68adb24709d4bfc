"""Fewer speech embeddings for the LLM: repetitions are merged, silence is dropped."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from espnet_otreg.slm.config import CompressionConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings, mask_from_lengths
from espnet_otreg.slm.readout import TokenReadout


def merge_segments(embeddings: SpeechEmbeddings, keep: Tensor, starts: Tensor) -> SpeechEmbeddings:
    """Average the kept frames of every segment.

    Args:
        embeddings: (B, S, D).
        keep: (B, S) booleans; an utterance that keeps nothing keeps its first frame.
        starts: (B, S) booleans, True where a kept frame begins a new segment.

    Returns:
        (B, S', D) with S' = the largest number of segments, differentiable in ``values``.

    >>> values = torch.tensor([[[1.0], [3.0], [9.0], [5.0]]])
    >>> speech = SpeechEmbeddings(values, torch.ones(1, 4, dtype=torch.bool), 0.02)
    >>> keep = torch.tensor([[True, True, False, True]])
    >>> starts = torch.tensor([[True, False, False, True]])
    >>> merge_segments(speech, keep, starts).values.flatten().tolist()
    [2.0, 5.0]
    """
    keep = keep & embeddings.mask
    nothing = ~keep.any(dim=1)
    first = torch.zeros_like(keep)
    first[:, 0] = True
    keep = torch.where(nothing[:, None], first, keep)
    starts = torch.where(nothing[:, None], first, starts & keep)
    segment = starts.long().cumsum(dim=1) - 1
    lengths = segment.amax(dim=1) + 1
    size = int(lengths.max())
    # (B, S', S): row = one segment; a matrix product keeps the gradient of every kept frame.
    members = F.one_hot(segment.clamp(min=0), size).transpose(1, 2) * keep[:, None, :]
    weights = members.to(embeddings.values.dtype)
    weights = weights / weights.sum(dim=2, keepdim=True).clamp(min=1)
    return SpeechEmbeddings(weights @ embeddings.values, mask_from_lengths(lengths, size), 0.0)


def _by_readout(
    embeddings: SpeechEmbeddings, readout: TokenReadout, config: CompressionConfig
) -> SpeechEmbeddings:
    """Runs of one CTC token become one; frames that are surely blank are dropped."""
    log_probs = readout.log_probs(embeddings.values.detach())
    keep = embeddings.mask & (log_probs[..., 0].exp() <= config.drop_threshold)
    best = log_probs[..., 1:].argmax(dim=-1)
    same = torch.zeros_like(keep)
    same[:, 1:] = keep[:, :-1] & (best[:, 1:] == best[:, :-1])
    if config.values == "posterior":
        expected = readout.expected_embeddings(embeddings.values)
        embeddings = SpeechEmbeddings(expected, embeddings.mask, embeddings.frame_seconds)
    return merge_segments(embeddings, keep, keep & ~same)


def _by_similarity(
    embeddings: SpeechEmbeddings, anchor: Tensor, config: CompressionConfig
) -> SpeechEmbeddings:
    """Pairs (2k, 2k + 1) of similar frames merge; frames like the anchor are dropped.

    What is known of the paper's compression (methods: disjoint adjacent pairs, a threshold on
    the cosine to the pad embedding); averaging the pair is our choice.
    """
    values = F.normalize(embeddings.values.detach().float(), dim=-1)
    to_anchor = values @ F.normalize(anchor.detach().float(), dim=-1)
    keep = embeddings.mask & (to_anchor <= config.drop_threshold)
    neighbour = (values[:, 1:] * values[:, :-1]).sum(dim=-1)
    similar = torch.zeros_like(keep)
    similar[:, 1::2] = neighbour[:, 0::2] > config.merge_threshold
    similar[:, 1:] &= keep[:, :-1]
    return merge_segments(embeddings, keep, keep & ~similar)


def compress(
    embeddings: SpeechEmbeddings,
    config: CompressionConfig,
    readout: TokenReadout | None,
    anchor: Tensor,
) -> SpeechEmbeddings:
    """Compress speech embeddings; needs no transcript, so training and inference agree.

    Which frames merge is decided without gradient; the averages carry it. At least one
    embedding per utterance is kept.

    Args:
        embeddings: (B, S, D).
        config: method and thresholds.
        readout: the CTC read-out, needed by method ``"ctc"``.
        anchor: (D,) embedding of the anchor token, used by method ``"similarity"``.

    Returns:
        (B, S', D) with S' <= S.
    """
    if config.method == "none":
        return embeddings
    if config.method == "similarity":
        return _by_similarity(embeddings, anchor, config)
    assert readout is not None  # parse_slm_config refuses method ctc without classes
    return _by_readout(embeddings, readout, config)
