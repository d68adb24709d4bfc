"""Costs between the embeddings of two sequences."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.precision import working_dtype

# Vectors shorter than this have no direction that float32 could tell from rounding.
_ZERO_NORM = 1e-12


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


def _check_shapes(source: Tensor, target: Tensor) -> None:
    """Raise ValueError unless both are (B, any, D) with the same B and D."""
    if source.dim() != 3 or target.dim() != 3 or source.shape[::2] != target.shape[::2]:
        raise ValueError(
            f"expected (B, S, D) and (B, T, D), found {tuple(source.shape)}, {tuple(target.shape)}"
        )
    if source.is_complex() or target.is_complex():
        raise ValueError(f"expected real numbers, found {source.dtype}, {target.dtype}")


@checked
def cosine_cost(speech: Tensor, text: Tensor) -> Tensor:
    """Cosine distance ``C_ij = 1 - cos(speech_i, text_j)``, in [0, 2].

    Computed in float32 also under autocast, in float64 if either input is float64. A vector of
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
    _check_shapes(speech, text)
    dtype = working_dtype(speech, text)
    with torch.autocast(speech.device.type, enabled=False):
        similarity = unit_vectors(speech.to(dtype)) @ unit_vectors(text.to(dtype)).mT
        return (1 - similarity).clamp(0, 2)  # rounding may put it a hair outside


@checked
def squared_euclidean_cost(source: Tensor, target: Tensor) -> Tensor:
    """Half the squared Euclidean distance ``C_ij = |source_i - target_j|^2 / 2``.

    The half is GeomLoss's convention for p = 2, which the published settings assume. In float32
    also under autocast, in float64 if either input is float64.

    Args:
        source: (B, S, D) points.
        target: (B, T, D) points.

    Returns:
        (B, S, T) cost.

    Raises:
        ValueError: if the shapes do not fit together.

    >>> squared_euclidean_cost(torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[3.0]]]))
    tensor([[[4.5000],
             [2.0000]]])
    """
    _check_shapes(source, target)
    dtype = working_dtype(source, target)
    with torch.autocast(source.device.type, enabled=False):
        # |x|^2 + |y|^2 - 2 <x, y> cancels: about a common centre there is less to cancel.
        centre = source.detach().to(dtype).mean(1, keepdim=True).nan_to_num()
        x, y = source.to(dtype) - centre, target.to(dtype) - centre
        squares = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
        return (squares / 2 - x @ y.mT).clamp(min=0)


@checked
def euclidean_cost(source: Tensor, target: Tensor) -> Tensor:
    """Euclidean distance ``C_ij = |source_i - target_j|``; no gradient where two points coincide.

    Args:
        source: (B, S, D) points.
        target: (B, T, D) points.

    Returns:
        (B, S, T) cost, float32 or float64 as :func:`squared_euclidean_cost`.

    Raises:
        ValueError: if the shapes do not fit together.

    >>> euclidean_cost(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[3.0, 4.0]]]))
    tensor([[[5.]]])
    """
    _check_shapes(source, target)
    dtype = working_dtype(source, target)
    with torch.autocast(source.device.type, enabled=False):
        mode = "donot_use_mm_for_euclid_dist"  # the matrix product would cancel near zero
        return torch.cdist(source.to(dtype), target.to(dtype), compute_mode=mode)


@checked
def with_position(points: Tensor, lengths: Tensor, weight: float) -> Tensor:
    """Points with their relative position as one more coordinate ``weight * i / (length - 1)``.

    The squared distance of two points then grows by ``weight^2 (i/(S-1) - j/(T-1))^2`` (Le et al.,
    ICML 2023). The only point of a sequence of length one is at position 0.

    Args:
        points: (B, S, D).
        lengths: (B,) real points of each sequence.
        weight: not negative.

    Returns:
        (B, S, D + 1).

    Raises:
        ValueError: on other shapes, complex points, or a weight that is negative or infinite.

    >>> with_position(torch.zeros(1, 3, 1), torch.tensor([3]), 2.0)[0, :, 1]
    tensor([0., 1., 2.])
    """
    if points.dim() != 3 or points.is_complex() or lengths.shape != points.shape[:1]:
        raise ValueError(
            "expected points (B, S, D) of real numbers and lengths (B,), found "
            f"{tuple(points.shape)} {points.dtype}, {tuple(lengths.shape)}"
        )
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight: expected a number not below 0, found {weight}")
    steps = torch.arange(points.shape[1], device=points.device, dtype=points.dtype)
    last = (lengths.to(points.device) - 1).clamp(min=1).to(points.dtype)
    position = weight * steps[None, :] / last[:, None]
    return torch.cat([points, position[:, :, None]], dim=-1)
