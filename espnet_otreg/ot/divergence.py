"""The debiased Sinkhorn divergence between two weighted point clouds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.ot.checks import check_iterations, check_positive
from espnet_otreg.ot.costs import squared_euclidean_cost
from espnet_otreg.ot.feasibility import check_feasible
from espnet_otreg.ot.log_domain import LogUpdates, falling, residual_of
from espnet_otreg.ot.problem import TransportProblem, make_problem

Cost = Callable[[Tensor, Tensor], Tensor]


@checked
def sinkhorn_divergence(
    x: Tensor,
    y: Tensor,
    x_mask: Tensor | None = None,
    y_mask: Tensor | None = None,
    x_mass: Tensor | None = None,
    y_mass: Tensor | None = None,
    epsilon: float = 0.0025,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    cost: Cost = squared_euclidean_cost,
    annealing: int = 10,
) -> Tensor:
    """Debiased Sinkhorn divergence of two weighted point clouds (Feydy et al. 2019).

    ``S(x, y) = OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2`` with OT the regularised cost of
    :func:`espnet_otreg.ot.sinkhorn`, from averaged simultaneous updates of all potentials, as in
    GeomLoss: they converge fast on the symmetric problems, and equal clouds are at exactly 0. The
    gradient is that of the last update alone, exact at convergence (envelope theorem).

    Args:
        x: (B, S, D) points.
        y: (B, T, D) points.
        x_mask, y_mask: (B, S), (B, T) bool, True = real; None = all real.
        x_mass, y_mass: (B, S), (B, T), constants with equal totals; None = uniform.
        epsilon: in units of the cost; GeomLoss's ``blur`` squared.
        max_iterations: at most, those of the annealing included.
        tolerance: of the mass that the next update moves, in each of the three problems.
        annealing: iterations with a larger epsilon that come first.
        cost: (B, S, D) and (B, T, D) points to a (B, S, T) cost, 0 between equal points, the
            transpose with the points exchanged; ``+inf`` forbids a pair.

    Returns:
        (B,); 0 for a problem with an empty side.

    Raises:
        ValueError: on wrong shapes or numbers, NaN or -inf costs, negative masses, unequal totals,
            a point whose pairs are all forbidden, or masses that are seen to be impossible to
            place, after ``max_iterations``, on the pairs that are not.

    >>> x = torch.tensor([[[0.0], [1.0]]])
    >>> sinkhorn_divergence(x, x + 2, epsilon=0.01).round(decimals=3)
    tensor([2.])
    """
    check_positive("epsilon", epsilon)
    check_iterations(max_iterations, tolerance, annealing)
    masses = [None if mass is None else mass.detach() for mass in (x_mass, y_mass)]
    of_x, of_y = (x, x_mask, masses[0]), (y, y_mask, masses[1])
    problems = []
    with torch.autocast(x.device.type, enabled=False):
        for side, other in ((of_x, of_y), (of_y, of_x), (of_x, of_x), (of_y, of_y)):
            # The gradient reaches each cloud through its own potentials alone, so it comes once.
            matrix = cost(side[0], other[0].detach())
            masks_and_masses = side[1], other[1], side[2], other[2]
            problems.append(make_problem(matrix, *masks_and_masses, strength=epsilon))
        if not torch.equal(problems[0].allowed, problems[1].allowed.mT):
            raise ValueError("cost: forbids pairs (x, y) that it allows as (y, x), or the reverse")
        potentials = _solve(problems, epsilon, max_iterations, tolerance, annealing)
        f, g, f_self, g_self = _update(problems, epsilon, potentials)
        parts = ((problems[0].source, f - f_self), (problems[1].source, g - g_self))
        return sum(
            (torch.where(mass > 0, mass * gap, 0).sum(1) for mass, gap in parts),
            start=x.new_zeros(()),
        )


def _update(
    problems: Sequence[TransportProblem], epsilon: float | Tensor, potentials: Sequence[Tensor]
) -> list[Tensor]:
    """All four potentials, in units of the cost, each from the one that it is coupled with."""
    f, g, f_self, g_self = potentials
    coupled = zip(problems, (g, f, f_self, g_self), strict=True)
    return [epsilon * LogUpdates(one, epsilon).source(other / epsilon) for one, other in coupled]


@torch.no_grad()
def _solve(
    problems: Sequence[TransportProblem],
    epsilon: float,
    max_iterations: int,
    tolerance: float,
    annealing: int,
) -> list[Tensor]:
    """Average old and new potentials until the updates move no more mass than the tolerance."""
    potentials = [torch.zeros_like(problem.source) for problem in problems]
    for now in falling(problems[0], epsilon, annealing):
        updated = _update(problems, now, potentials)
        potentials = [(a + b) / 2 for a, b in zip(potentials, updated, strict=True)]
    for _ in range(max_iterations - annealing):
        updated = _update(problems, epsilon, potentials)
        moved = [
            residual_of(problem, old / epsilon, new / epsilon)
            for problem, old, new in zip(problems, potentials, updated, strict=True)
        ]
        active = ~(torch.stack(moved).amax(0) <= tolerance)[:, None]
        if not bool(active.any()):
            return potentials
        potentials = [
            torch.where(active, (a + b) / 2, a) for a, b in zip(potentials, updated, strict=True)
        ]
    updated = _update(problems, epsilon, potentials)
    for problem, old, new in zip(problems, potentials, updated, strict=True):
        check_feasible(problem, new - old, tolerance)
    return potentials
