"""Statistics of transport plans: row entropy, impurity, spread, barycentric projection.

A row of less than 1e-31 in float32, 1e-292 in float64, counts as one without mass: the gradient of
what is divided by its sum would overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.ot.checks import check_plan


def _divisors(coupling: Tensor) -> tuple[Tensor, Tensor]:
    """(..., S) sums of the rows, 1 for those without mass, and which have mass or NaN.

    Raises:
        ValueError: if it is no plan of real numbers.
    """
    check_plan(coupling)
    total, numbers = coupling.sum(-1), torch.finfo(coupling.dtype)
    real = ~(total <= numbers.tiny / numbers.eps)  # NaN stays, so that the result shows it
    return torch.where(real, total, 1), real


@checked
def row_entropy(coupling: Tensor) -> Tensor:
    """Entropy of each row of the row-normalised plan, in nats; 0 for a row without mass.

    ``H_i = -sum_j p_ij log p_ij`` with ``p_ij = P_ij / sum_j P_ij``.

    Args:
        coupling: (..., S, T), not negative.

    Returns:
        (..., S), between 0 and log T.

    Raises:
        ValueError: if it is no plan of real numbers.

    >>> row_entropy(torch.tensor([[0.2, 0.2], [0.4, 0.0], [0.0, 0.0]]))
    tensor([0.6931, 0.0000, 0.0000])
    """
    total, real = _divisors(coupling)
    share = coupling / total[..., None]
    # The clamp keeps the gradient of p log p finite at 0.
    log_share = share.clamp(min=torch.finfo(share.dtype).tiny).log()
    return torch.where(real, (-share * log_share).sum(-1).clamp(min=0), 0)


@checked
def row_impurity(coupling: Tensor) -> Tensor:
    """Gini impurity of each row, ``1 - sum_j p_ij^2``, with p as in :func:`row_entropy`.

    Args:
        coupling: (..., S, T), not negative.

    Returns:
        (..., S), between 0 and 1 - 1/T; 0 for a row without mass.

    Raises:
        ValueError: if it is no plan of real numbers.

    >>> row_impurity(torch.tensor([[0.2, 0.2], [0.4, 0.0], [0.0, 0.0]]))
    tensor([0.5000, 0.0000, 0.0000])
    """
    total, real = _divisors(coupling)
    share = coupling / total[..., None]
    return torch.where(real, 1 - share.square().sum(-1), 0)


@checked
def row_spread(coupling: Tensor) -> Tensor:
    """What the largest entry leaves of each row, ``1 - max_j p_ij``, with p as above.

    Args:
        coupling: (..., S, T), not negative.

    Returns:
        (..., S), between 0 and 1 - 1/T; 0 for a row without mass.

    Raises:
        ValueError: if it is no plan of real numbers.

    >>> row_spread(torch.tensor([[0.1, 0.3], [0.4, 0.0], [0.0, 0.0]]))
    tensor([0.2500, 0.0000, 0.0000])
    """
    total, real = _divisors(coupling)
    if not coupling.shape[-1]:
        return torch.zeros_like(total)
    return torch.where(real, 1 - coupling.amax(-1) / total, 0)


@checked
def barycentric_projection(coupling: Tensor, points: Tensor) -> Tensor:
    """Where each source lands on average: ``y_i = sum_j P_ij points_j / sum_j P_ij``.

    Args:
        coupling: (..., S, T).
        points: (..., T, D).

    Returns:
        (..., S, D); zero for a row without mass.

    Raises:
        ValueError: if the plan is not one of real numbers, or the points are not its targets.

    >>> barycentric_projection(torch.tensor([[0.1, 0.3]]), torch.tensor([[0.0], [1.0]]))
    tensor([[0.7500]])
    """
    total, _ = _divisors(coupling)
    if points.dim() < 2 or points.shape[-2] != coupling.shape[-1]:
        raise ValueError(
            f"points: expected (..., T, D), one for each of the plan's {coupling.shape[-1]} "
            f"targets, found {tuple(points.shape)}"
        )
    with torch.autocast(coupling.device.type, enabled=False):
        return coupling @ points.to(coupling.dtype) / total[..., None]
