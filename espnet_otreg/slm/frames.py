"""Neighbouring frames together, and their places in time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from espnet_otreg.slm.embeddings import mask_from_lengths


def stack_frames(features: Tensor, lengths: Tensor, stack: int) -> tuple[Tensor, Tensor]:
    """Concatenate ``stack`` neighbouring frames; the last group is filled up with zeros.

    Args:
        features: (B, T, D); what stands beyond an utterance's length is ignored.
        lengths: (B,) frames.
        stack: frames per group.

    Returns:
        (B, ceil(T / stack), stack * D) and the new lengths, at least one frame each.

    >>> values, lengths = stack_frames(torch.ones(1, 5, 2), torch.tensor([4]), 3)
    >>> values.shape, lengths.tolist(), values[0, 1].tolist()
    (torch.Size([1, 2, 6]), [2], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    """
    # Zeroing first keeps the filled-up last group independent of batch mates.
    features = features * mask_from_lengths(lengths, features.size(1))[..., None]
    features = F.pad(features, (0, 0, 0, -features.size(1) % stack))
    batch, frames, size = features.shape
    stacked = features.reshape(batch, frames // stack, stack * size)
    return stacked, torch.div(lengths + stack - 1, stack, rounding_mode="floor").clamp(min=1)


def sinusoidal_positions(length: int, width: int, device: torch.device) -> Tensor:
    """Fixed position embeddings (Vaswani et al. 2017), (length, width).

    >>> sinusoidal_positions(2, 4, torch.device("cpu"))[0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    half = (width + 1) // 2
    rates = torch.exp(torch.arange(half, device=device) * (-math.log(1e4) / max(half - 1, 1)))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]
