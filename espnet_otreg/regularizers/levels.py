"""The pairs of a speech and a text vector that multi-grained alignment contrasts, at three levels.

P is the plan between frames f_i and targets, the columns of an anchor left out, and
r_i = sum_j P_ij the mass of frame i that is speech rather than silence:

* token: the frames that go to token g_j, sum_i P_ij f_i / sum_i P_ij, and g_j;
* segment of consecutive frames: sum_i r_i f_i / sum_i r_i, and its multi-token vector
  sum_ij P_ij g_j / sum_ij P_ij, a convex combination of tokens;
* utterance: the same sum of f_i over all frames, and the mean of the transcript's tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from espnet_otreg.ot import barycentric_projection

# A segment with less than this part of the fullest one's mass on tokens is silence. Its weight
# would be as small; what leaving it out avoids is a division by next to nothing.
_LEAST_SPEECH = 1e-3


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of one level in a batch.

    Attributes:
        speech, text: (M, D).
        utterance: (M,) int64, the row of the batch that a pair comes from.
        weight: (M,) constant, total 1 in every utterance that has a pair.
        token: (M,) int64 token ids at the level of tokens, else None.
    """

    speech: Tensor
    text: Tensor
    utterance: Tensor
    weight: Tensor
    token: Tensor | None = None


def _pairs(speech: Tensor, text: Tensor, weight: Tensor, token: Tensor | None = None) -> Pairs:
    """The pairs (B, K, D) whose weight (B, K) is positive; weights are made to add up to 1."""
    present = weight > 0
    total = weight.sum(1, keepdim=True)
    share = (weight / torch.where(total > 0, total, 1)).detach()
    return Pairs(
        speech[present],
        text[present],
        present.nonzero()[:, 0],
        share[present],
        None if token is None else token[present],
    )


def segment_sums(values: Tensor, frames: int) -> Tensor:
    """Sums over every ``frames`` consecutive frames; the last segment may be shorter.

    Args:
        values: (B, S, N).
        frames: at least 1.

    Returns:
        (B, K, N) with K = S / frames, rounded up, and at least 1.

    >>> segment_sums(torch.tensor([[[1.0], [2.0], [3.0]]]), 2)
    tensor([[[3.],
             [3.]]])
    """
    segments = max(1, -(-values.shape[1] // frames))
    missing = segments * frames - values.shape[1]
    return F.pad(values, (0, 0, 0, missing)).unflatten(1, (segments, frames)).sum(2)


def _mean_frame(coupling: Tensor, speech: Tensor, frames: int, present: Tensor) -> Tensor:
    """(B, K, D) mean of every segment's frames by their mass, where it is ``present``, (B, K)."""
    mass = coupling.sum(2, keepdim=True)
    total = torch.where(present[:, :, None], segment_sums(mass, frames), 1)
    return segment_sums(mass * speech.to(mass.dtype), frames) / total


def token_pairs(coupling: Tensor, speech: Tensor, tokens: Tensor, ids: Tensor) -> Pairs:
    """Every token with the frames that are transported to it; all tokens weigh the same.

    Args:
        coupling: (B, S, T) plan, without mass on padding and on an anchor.
        speech: (B, S, D) frames, zero on padding.
        tokens: (B, T, D) embeddings, zero on padding.
        ids: (B, T) token ids.

    >>> identity = torch.eye(2)[None]
    >>> token_pairs(identity, 2 * identity, identity, torch.tensor([[7, 8]])).speech
    tensor([[2., 0.],
            [0., 2.]])
    """
    heard = barycentric_projection(coupling.mT, speech)
    present = (coupling.sum(1) > 0).to(coupling.dtype)
    return _pairs(heard, tokens.to(heard.dtype), present, ids)


def segment_pairs(coupling: Tensor, speech: Tensor, tokens: Tensor, frames: int) -> Pairs:
    """Every segment with its multi-token vector, weighted by its mass on tokens.

    Args:
        coupling, speech, tokens: as in :func:`token_pairs`.
        frames: length of a segment.

    >>> identity = torch.eye(3)[None]
    >>> segment_pairs(identity, identity, identity, 1).text  # an identity plan returns the tokens
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    >>> segment_pairs(identity, identity, identity, 2).text
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    """
    pooled = segment_sums(coupling, frames)
    mass = pooled.detach().sum(2)
    weight = torch.where(mass > _LEAST_SPEECH * mass.amax(1, keepdim=True), mass, 0)
    pooled = torch.where(weight[:, :, None] > 0, pooled, 0)
    return _pairs(
        _mean_frame(coupling, speech, frames, weight > 0),
        barycentric_projection(pooled, tokens),
        weight,
    )


def utterance_pairs(coupling: Tensor, speech: Tensor, text: Tensor, text_mask: Tensor) -> Pairs:
    """Every utterance's speech, without its silence, with the mean of its transcript.

    Args:
        coupling, speech: as in :func:`token_pairs`.
        text: (B, N, D) embeddings of the transcripts, zero on padding.
        text_mask: (B, N) bool.

    >>> plan = torch.tensor([[[1.0], [0.0], [3.0]]])  # the second frame is silence
    >>> speech = torch.tensor([[[4.0], [9.0], [8.0]]])
    >>> text, mask = torch.tensor([[[2.0], [6.0]]]), torch.tensor([[True, True]])
    >>> pairs = utterance_pairs(plan, speech, text, mask)
    >>> pairs.speech, pairs.text
    (tensor([[7.]]), tensor([[4.]]))
    """
    weight = coupling.detach().sum((1, 2))[:, None]
    heard = _mean_frame(coupling, speech, max(speech.shape[1], 1), weight > 0)
    count = text_mask.sum(1).clamp(min=1)[:, None, None]
    return _pairs(heard, text.to(heard.dtype).sum(1, keepdim=True) / count, weight)
