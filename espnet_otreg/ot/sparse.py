"""Transport plans with few nonzeros: quadratic regularisation under a cardinality constraint."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.ot.checks import check_count, check_iterations, check_positive
from espnet_otreg.ot.lbfgs import minimize
from espnet_otreg.ot.problem import TransportProblem, check_cost, make_problem
from espnet_otreg.ot.solution import TransportSolution, empty_solution, marginal_error

_NEVER = -1e30  # the score of a pair that is not allowed: finite, so that sums stay so


@checked
def sparse_transport(
    cost: Tensor,
    source_mask: Tensor | None = None,
    target_mask: Tensor | None = None,
    source_mass: Tensor | None = None,
    target_mass: Tensor | None = None,
    gamma: float = 0.1,
    max_nonzeros: int = 2,
    sparse_side: Literal["source", "target"] = "source",
    max_iterations: int = 200,
    tolerance: float = 1e-3,
) -> TransportSolution:
    """Plans with at most k nonzeros in each row, or column (Liu et al., ICLR 2023).

    Minimises ``<P, C> + gamma / 2 sum_i |P_i|^2 / a_i`` where every unit i of ``sparse_side``, of
    mass a_i, has at most ``max_nonzeros`` partners, by L-BFGS on the semi-dual. (The paper has
    ``|P_i|^2`` alone; divided by the mass, gamma means the same for sequences of any length.) The
    side's marginal and its sparsity are exact. The other marginal is met only if k is large enough:
    where scores tie, no k-sparse plan need meet it; ``residual`` says by how much it is missed.
    With k = 1 the value is that of exact transport plus a constant, with large k that of quadratic
    transport. The gradient of the coupling goes through the projection at fixed potentials; that of
    ``regularized_cost`` is exact at convergence.

    Args:
        cost: (B, S, T); ``+inf`` forbids a pair; what it holds on padding is ignored.
        source_mask, target_mask: (B, S), (B, T) bool, True = real; None = all real.
        source_mass, target_mass: (B, S), (B, T) with equal totals; None = uniform, total 1.
        gamma: strength of the quadratic term, in units of the cost.
        max_nonzeros: k, at least 1.
        sparse_side: whose units have at most k partners.
        max_iterations: of L-BFGS.
        tolerance: of the residual.

    Returns:
        The solution; ``residual`` is the largest L1 error of a marginal, the other side's but for
        rounding, and ``regularized_cost`` the value of the semi-dual, which no feasible plan is
        below. Where forbidden pairs leave no feasible plan it is not converged.

    Raises:
        ValueError: on wrong shapes or numbers, NaN or -inf costs, negative masses, unequal totals,
            or a source or target whose pairs are all forbidden.

    >>> cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [0.2, 0.1]]])
    >>> (sparse_transport(cost, max_nonzeros=1).coupling > 0).sum(2)
    tensor([[1, 1, 1]])
    """
    check_cost(cost)
    check_positive("gamma", gamma)
    check_count("max_nonzeros", max_nonzeros)
    check_iterations(max_iterations, tolerance)
    if sparse_side not in ("source", "target"):
        raise ValueError(f"sparse_side: expected source or target, found {sparse_side!r}")
    with torch.autocast(cost.device.type, enabled=False):
        masks_and_masses = source_mask, target_mask, source_mass, target_mass
        problem = make_problem(cost, *masks_and_masses, strength=gamma)
        turned = problem if sparse_side == "source" else problem.transposed()
        if 0 in turned.cost.shape:
            return empty_solution(problem)
        k = min(max_nonzeros, turned.cost.shape[2])
        potential, iterations = _maximize(turned, gamma, k, max_iterations, tolerance)
        coupling, threshold = _project(turned, potential, gamma, k)
        # The sparse side's own marginal is off by rounding, which a small gamma blows up.
        residual = marginal_error(turned, coupling, (True, True))
        value = _dual(turned, coupling, potential, gamma)
        f = torch.where(turned.source > 0, -threshold, 0).detach()
        g = torch.where(turned.target > 0, potential, 0)
        if sparse_side == "target":
            coupling, f, g = coupling.mT, g, f
    return TransportSolution(
        coupling=coupling,
        potentials=(f, g),
        linear_cost=(coupling * problem.cost).sum((1, 2)),
        regularized_cost=value,
        residual=residual,
        iterations=iterations,
        converged=residual <= tolerance,
    )


def _project(
    problem: TransportProblem, potential: Tensor, gamma: float, k: int
) -> tuple[Tensor, Tensor]:
    """The best k-sparse row for every source at given (B, T) potentials.

    ``argmax_t <g - c_i, t> - gamma / 2 |t|^2 / a_i`` over rows of mass a_i: the k largest scores,
    divided by gamma and projected onto the simplex, times the mass.

    Returns:
        (B, S, T) rows and (B, S) thresholds in units of the cost: a score below it gets no mass.
    """
    allowed = problem.allowed
    scores = torch.where(allowed, potential[:, None, :] - problem.cost, _NEVER)
    best, where = scores.topk(k, dim=2)  # falling
    sums = best.cumsum(2) - gamma
    ranks = torch.arange(1, k + 1, device=scores.device, dtype=scores.dtype)
    kept = (best * ranks > sums).sum(2, keepdim=True).clamp(min=1)
    threshold = sums.gather(2, kept - 1) / kept
    share = (best - threshold).clamp(min=0) / gamma
    rows = torch.zeros_like(scores).scatter(2, where, problem.source[:, :, None] * share)
    return torch.where(allowed, rows, 0), threshold[:, :, 0]


def _dual(problem: TransportProblem, rows: Tensor, potential: Tensor, gamma: float) -> Tensor:
    """(B,) ``<g, b> - sum_i (<g - c_i, t_i> - gamma / 2 |t_i|^2 / a_i)``, the rows t_i constant."""
    rows = rows.detach()
    mass = torch.where(problem.source > 0, problem.source, 1)
    gained = (rows * (potential[:, None, :] - problem.cost)).sum((1, 2))
    paid = gamma / 2 * (rows.square().sum(2) / mass).sum(1)
    return (potential * problem.target).sum(1) - gained + paid


@torch.no_grad()
def _maximize(
    problem: TransportProblem, gamma: float, k: int, max_iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """(B, T) potentials that maximise the semi-dual, and (B,) iterations."""

    def evaluate(potential: Tensor) -> tuple[Tensor, Tensor]:
        rows, _ = _project(problem, potential, gamma, k)
        return -_dual(problem, rows, potential, gamma), rows.sum(1) - problem.target

    start = torch.zeros_like(problem.target)
    # Best potentials differ by no more than the costs of a row do, and gamma.
    longest = problem.cost.flatten(1).abs().amax(1) + gamma
    return minimize(evaluate, start, longest, max_iterations, tolerance)
