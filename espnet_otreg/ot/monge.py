"""The Monge gap: by how much the cost of a map exceeds that of optimal transport."""

from __future__ import annotations

import torch
from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.ot.costs import squared_euclidean_cost
from espnet_otreg.ot.divergence import Cost
from espnet_otreg.ot.sinkhorn import sinkhorn


@checked
def monge_gap(
    points: Tensor,
    images: Tensor,
    mask: Tensor | None = None,
    mass: Tensor | None = None,
    epsilon: float = 0.01,
    max_iterations: int = 200,
    tolerance: float = 1e-4,
    cost: Cost = squared_euclidean_cost,
    debiased: bool = True,
) -> Tensor:
    """``E[c(x, T(x))] - W_epsilon(x, T(x))`` of a map T (Uscidda & Cuturi 2023).

    Without entropy it is zero exactly where no other assignment of the images is cheaper. With
    ``W = <P, C> - epsilon H(P)``, the reference convention, it is at least ``epsilon H(a)``, which
    the debiased gap leaves out: both are never negative. The gradient holds the plan constant,
    which is exact at convergence (envelope theorem).

    Args:
        points: (B, N, D).
        images: (B, N, D) T(x), in the order of the points.
        mask: (B, N) bool, True = real; None = all real.
        mass: (B, N) constants; None = uniform, total 1.
        epsilon, max_iterations, tolerance: of the transport between points and images.
        cost: (B, N, D) and (B, N, D) points to a (B, N, N) cost.
        debiased: leave out ``epsilon H(a)``.

    Returns:
        (B,); 0 for a problem without points, inf where the map takes a point along a pair whose
        cost is inf, which is forbidden to the transport.

    Raises:
        ValueError: on wrong shapes, masses or numbers, NaN or -inf costs, or a point whose pairs
            are all forbidden.

    >>> x = torch.tensor([[[0.0], [1.0], [3.0]]])
    >>> monge_gap(x, x + 5).abs().max() < 0.01, monge_gap(x, -x) > 1
    (tensor(True), tensor([True]))
    """
    mass = None if mass is None else mass.detach()
    matrix = cost(points, images)
    annealing = min(10, max_iterations - 1)
    solution = sinkhorn(
        matrix, mask, mask, mass, mass, epsilon, max_iterations, tolerance,
        gradient="envelope", annealing=annealing,
    )  # fmt: skip
    share = solution.coupling.sum(1)  # the masses: the plan meets its target marginal exactly
    paid = torch.where(share > 0, share * torch.diagonal(matrix, dim1=1, dim2=2), 0).sum(1)
    entropy = torch.special.entr(share).sum(1)
    # regularized_cost holds KL(P | a a^T) = 2 H(a) - H(P).
    return paid - solution.regularized_cost + (1 if debiased else 2) * epsilon * entropy
