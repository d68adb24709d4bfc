"""Contrast between paired vectors: symmetric InfoNCE in which not all others are negatives.

With similarities s_ij = cos(x_i, y_j) / temperature of pairs (x_i, y_i), and n_ij = 1 where pair j
is a negative of pair i or i = j, else 0 (InfoNCE: van den Oord et al. 2018; both directions with
equal weight: Radford et al. 2021):

    l_i = 1/2 [ log sum_j n_ij exp(s_ij - s_ii) + log sum_j n_ji exp(s_ji - s_ii) ]

A pair without negatives has a loss of zero, one among B pairs that are all alike log B.
"""

from __future__ import annotations

import torch
from torch import Tensor

from espnet_otreg.ot.costs import unit_vectors
from espnet_otreg.precision import working_dtype


def scaled_cosine(x: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Similarities ``cos(x_i, y_j) / temperature``; a zero vector has 0 and gets no gradient.

    Computed in float32 whatever autocast says, in float64 if either input is float64.

    Args:
        x, y: (N, D) and (M, D).
        temperature: positive.

    Returns:
        (N, M).

    >>> scaled_cosine(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]]), 0.1)
    tensor([[10.,  0.]])
    """
    dtype = working_dtype(x, y)
    with torch.autocast(x.device.type, enabled=False):
        return unit_vectors(x.to(dtype)) @ unit_vectors(y.to(dtype)).mT / temperature


def _check(similarity: Tensor, negatives: Tensor) -> None:
    """Raise ValueError unless both are square and of one shape, and ``negatives`` a mask."""
    count = len(similarity)
    if similarity.shape != (count, count) or negatives.shape != similarity.shape:
        raise ValueError(
            f"expected two square matrices of one shape, found {tuple(similarity.shape)}, "
            f"{tuple(negatives.shape)}"
        )
    if negatives.dtype != torch.bool:
        raise ValueError(f"negatives: expected bool, found {negatives.dtype}")


def contrastive_losses(similarity: Tensor, negatives: Tensor) -> Tensor:
    """Symmetric InfoNCE of every pair; the formula is the module's.

    Args:
        similarity: (N, N), pairs on the diagonal.
        negatives: (N, N) bool, whether pair j is a negative of pair i; the diagonal is not read.

    Returns:
        (N,) not negative.

    Raises:
        ValueError: if the arguments do not fit together.

    >>> others = ~torch.eye(3, dtype=torch.bool)
    >>> contrastive_losses(torch.zeros(3, 3), others)  # log 3
    tensor([1.0986, 1.0986, 1.0986])
    >>> contrastive_losses(torch.zeros(3, 3), torch.zeros(3, 3, dtype=torch.bool))
    tensor([0., 0., 0.])
    """
    _check(similarity, negatives)
    candidates = negatives | torch.eye(len(similarity), dtype=torch.bool, device=negatives.device)
    scores = torch.where(candidates, similarity, -torch.inf)
    return (scores.logsumexp(1) + scores.logsumexp(0)) / 2 - scores.diagonal()


def ranks_first(similarity: Tensor, negatives: Tensor) -> Tensor:
    """Whether every x_i is nearer to its y_i than to that of any negative; a tie is a miss.

    Args:
        similarity, negatives: (N, N) as in :func:`contrastive_losses`.

    Returns:
        (N,) bool.

    Raises:
        ValueError: if the arguments do not fit together.

    >>> ranks_first(torch.tensor([[0.9, 0.1], [0.5, 0.5]]), ~torch.eye(2, dtype=torch.bool))
    tensor([ True, False])
    """
    _check(similarity, negatives)
    others = negatives & ~torch.eye(len(similarity), dtype=torch.bool, device=negatives.device)
    return ~(others & (similarity >= similarity.diagonal()[:, None])).any(1)
