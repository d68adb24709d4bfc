"""What can be read off a transport plan."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def row_entropy(coupling: Tensor) -> Tensor:
    """Entropy of each row of the row-normalised plan, in nats; 0 for a row without mass.

    ``H_i = -sum_j p_ij log p_ij`` with ``p_ij = P_ij / sum_j P_ij``.

    Args:
        coupling: (..., S, T), not negative.

    Returns:
        (..., S), between 0 and log T.

    >>> row_entropy(torch.tensor([[0.2, 0.2], [0.4, 0.0], [0.0, 0.0]]))
    tensor([0.6931, 0.0000, 0.0000])
    """
    total = coupling.sum(-1, keepdim=True)
    share = coupling / torch.where(total > 0, total, 1)
    # The clamp keeps the gradient of p log p finite at 0.
    log_share = share.clamp(min=torch.finfo(share.dtype).tiny).log()
    return (-share * log_share).sum(-1).clamp(min=0)


def barycentric_projection(coupling: Tensor, points: Tensor) -> Tensor:
    """Where each source lands on average: ``y_i = sum_j P_ij points_j / sum_j P_ij``.

    Args:
        coupling: (..., S, T).
        points: (..., T, D).

    Returns:
        (..., S, D); zero for a row without mass.

    >>> barycentric_projection(torch.tensor([[0.1, 0.3]]), torch.tensor([[0.0], [1.0]]))
    tensor([[0.7500]])
    """
    total = coupling.sum(-1, keepdim=True)
    with torch.autocast(coupling.device.type, enabled=False):
        return coupling @ points.to(coupling.dtype) / torch.where(total > 0, total, 1)


def hard_alignment(coupling: Tensor) -> Tensor:
    """The target with the largest share of each source, -1 for a row without mass.

    Args:
        coupling: (..., S, T).

    Returns:
        (..., S) int64.

    >>> hard_alignment(torch.tensor([[0.1, 0.3], [0.0, 0.0]]))
    tensor([ 1, -1])
    """
    return torch.where(coupling.sum(-1) > 0, coupling.argmax(-1), -1)


class Span(NamedTuple):
    """Consecutive sources of one target: ``start`` inclusive, ``stop`` exclusive."""

    target: int
    start: int
    stop: int


def spans(alignment: Tensor) -> list[Span]:
    """Runs of equal targets in a hard alignment (S,), in order; unaligned sources are left out.

    >>> spans(torch.tensor([2, 2, -1, 0]))
    [Span(target=2, start=0, stop=2), Span(target=0, start=3, stop=4)]
    """
    targets, counts = torch.unique_consecutive(alignment, return_counts=True)
    stops = counts.cumsum(0).tolist()
    runs = zip(targets.tolist(), [0, *stops], stops, strict=False)
    return [Span(*run) for run in runs if run[0] >= 0]
