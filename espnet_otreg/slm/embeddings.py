"""Speech embeddings with their mask and time, from the projector to the LLM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def mask_from_lengths(lengths: Tensor, size: int) -> Tensor:
    """True on the first ``lengths[b]`` of ``size`` positions.

    Args:
        lengths: (B,) integers.
        size: S, the padded length.

    Returns:
        (B, S) booleans.

    >>> mask_from_lengths(torch.tensor([1, 3]), 3).tolist()
    [[True, False, False], [True, True, True]]
    """
    return torch.arange(size, device=lengths.device) < lengths[:, None]


@dataclass(frozen=True)
class SpeechEmbeddings:
    """Speech in the LLM's embedding space, padded on the right.

    Attributes:
        values: (B, S, D), zero on padding.
        mask: (B, S) booleans, True on real positions.
        frame_seconds: how much time one position stands for; 0 after compression, where
            positions differ in length.
    """

    values: Tensor
    mask: Tensor
    frame_seconds: float

    @property
    def lengths(self) -> Tensor:
        """(B,) number of real positions."""
        return self.mask.sum(dim=1)
