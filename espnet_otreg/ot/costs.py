"""Costs between the embeddings of two sequences."""

from __future__ import annotations

import torch
from torch import Tensor

# Vectors shorter than this have no direction that float32 could tell from rounding.
_ZERO_NORM = 1e-12


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """The precision transport is computed in: float64 if any tensor has it, else float32.

    >>> working_dtype(torch.zeros(1, dtype=torch.bfloat16))
    torch.float32
    """
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if double else torch.float32


def unit_vectors(vectors: Tensor) -> Tensor:
    """Vectors (..., D) scaled to length one; a zero vector stays zero and gets no gradient.

    >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    # Two `where`s: dividing by a tiny norm first and masking later would leave NaN gradients.
    zero = torch.linalg.vector_norm(vectors.detach(), dim=-1, keepdim=True) < _ZERO_NORM
    vectors = torch.where(zero, torch.zeros_like(vectors), vectors)
    norm = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(zero, torch.ones_like(norm), norm)


def cosine_cost(speech: Tensor, text: Tensor) -> Tensor:
    """Cosine distance ``C_ij = 1 - cos(speech_i, text_j)``, in [0, 2].

    Computed in float32 whatever autocast says, in float64 if either input is float64. A vector of
    norm zero is at distance 1 from everything and receives no gradient.

    Args:
        speech: (B, S, D) embeddings.
        text: (B, T, D) embeddings.

    Returns:
        (B, S, T) cost.

    Raises:
        ValueError: if the shapes do not fit together.

    >>> x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    >>> cosine_cost(x, torch.tensor([[[3.0, 0.0]]]))
    tensor([[[0.],
             [1.]]])
    """
    if speech.dim() != 3 or text.dim() != 3 or speech.shape[::2] != text.shape[::2]:
        raise ValueError(
            f"expected (B, S, D) and (B, T, D), found {tuple(speech.shape)}, {tuple(text.shape)}"
        )
    dtype = working_dtype(speech, text)
    with torch.autocast(speech.device.type, enabled=False):
        similarity = unit_vectors(speech.to(dtype)) @ unit_vectors(text.to(dtype)).mT
        return (1 - similarity).clamp(0, 2)  # rounding may put it a hair outside
