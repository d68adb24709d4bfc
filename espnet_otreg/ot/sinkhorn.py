"""Entropic optimal transport by Sinkhorn's iterations, batched and masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.ot.checks import check_iterations, check_positive, is_positive
from espnet_otreg.ot.fused import is_fused, iterate_fused
from espnet_otreg.ot.implicit import ImplicitPlan, plan_of
from espnet_otreg.ot.kernel_domain import iterate_in_kernel_domain
from espnet_otreg.ot.log_domain import Iterate, anneal, iterate_in_log_domain
from espnet_otreg.ot.problem import TransportProblem, check_cost, make_problem
from espnet_otreg.ot.solution import TransportSolution, marginal_error

Gradient = Literal["implicit", "unrolled", "envelope"]

# What iterations measure and what the plan's own marginals are off differ by rounding: they stop
# inside the tolerance by this many times the distance of 1 from the next number, or half of it.
_ROUNDING = 4


def _generalized_kl(value: Tensor, log_reference: Tensor, reference: Tensor) -> Tensor:
    """``sum p log(p / q) - p + q`` over the last dimension; 0 where q is 0."""
    log_reference = torch.where(reference > 0, log_reference, 0)
    # Clamping keeps the gradient finite where an entry has underflowed to 0.
    log_ratio = value.clamp(min=torch.finfo(value.dtype).tiny).log() - log_reference
    return (value * log_ratio - value + reference).sum(1)


def _plan_kl(problem: TransportProblem, coupling: Tensor, logarithm: Tensor) -> Tensor:
    """``KL(P | a b^T)``, (B,), where ``logarithm`` is that of ``P / (a b^T)``, as constants.

    Its derivative by P is that logarithm, so none has to be taken, stored or differentiated.
    """
    moved = (coupling * logarithm).sum((1, 2)) - coupling.detach().sum((1, 2))
    totals = torch.stack([problem.source.sum(1), problem.target.sum(1)], dim=1) + problem.stranded
    total = totals[:, 0] * totals[:, 1]
    for mass, size in ((problem.source, 2), (problem.target, 1)):
        if mass.requires_grad:  # its logarithm is a part of the constant one
            own = torch.where(mass > 0, torch.where(mass > 0, mass, 1).log(), 0)
            moved = moved - (coupling.detach().sum(size) * (own - own.detach())).sum(1)
    return moved + total


def _regularized_cost(
    problem: TransportProblem,
    coupling: Tensor,
    linear_cost: Tensor,
    state: Iterate,
    epsilon: float,
    source_relaxation: float | None,
    target_relaxation: float | None,
) -> Tensor:
    """The objective ``sinkhorn`` minimises, (B,)."""
    u, v = state.u.detach()[:, :, None], state.v.detach()[:, None, :]
    logarithm = torch.where(problem.support, u + v - problem.cost.detach() / epsilon, 0)
    value = linear_cost + epsilon * _plan_kl(problem, coupling, logarithm)
    if source_relaxation is not None:
        row = coupling.sum(2)
        divergence = _generalized_kl(row, problem.log_source, problem.source)
        value = value + source_relaxation * (divergence + problem.stranded[:, 0])
    if target_relaxation is not None:
        column = coupling.sum(1)
        divergence = _generalized_kl(column, problem.log_target, problem.target)
        value = value + target_relaxation * (divergence + problem.stranded[:, 1])
    return value


def _damping(relaxation: float | None, epsilon: float) -> float:
    return 1.0 if relaxation is None else relaxation / (relaxation + epsilon)


def _iterations(cost: Tensor, gradient: Gradient) -> Callable[..., Iterate]:
    """How a problem of this cost is iterated."""
    if gradient == "unrolled":  # only what is differentiated itself needs the slow way
        return iterate_in_log_domain
    return iterate_fused if is_fused(cost) else iterate_in_kernel_domain


def _start(
    problem: TransportProblem,
    epsilon: float,
    relaxations: tuple[float | None, float | None],
    annealing: int,
    warm_start: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """(B, T) scaled target potentials to start from; the first update needs no others."""
    v = torch.zeros_like(problem.log_target.detach())
    if warm_start is not None:
        if warm_start[1].shape != v.shape:
            raise ValueError(
                f"warm_start: expected target potentials {tuple(v.shape)}, found "
                f"{tuple(warm_start[1].shape)}"
            )
        if not bool(warm_start[1].isfinite().all()):
            raise ValueError("warm_start: expected finite potentials")
        v = warm_start[1].detach().to(v.dtype) / epsilon
    with torch.no_grad():
        return anneal(problem, epsilon, relaxations, v, annealing) if annealing else v


def _check_numbers(
    epsilon: float,
    max_iterations: int,
    tolerance: float,
    annealing: int,
    *relaxations: float | None,
) -> None:
    """Raise ValueError on settings no problem can be solved with."""
    check_positive("epsilon", epsilon)
    check_iterations(max_iterations, tolerance, annealing)
    for relaxation in relaxations:
        if relaxation is not None and not is_positive(relaxation):
            raise ValueError(
                f"relaxation: expected None or a positive number, found {relaxation!r}"
            )


@checked
def sinkhorn(
    cost: Tensor,
    source_mask: Tensor | None = None,
    target_mask: Tensor | None = None,
    source_mass: Tensor | None = None,
    target_mass: Tensor | None = None,
    epsilon: float = 0.1,
    max_iterations: int = 50,
    tolerance: float = 1e-3,
    source_relaxation: float | None = None,
    target_relaxation: float | None = None,
    gradient: Gradient = "implicit",
    annealing: int = 0,
    warm_start: tuple[Tensor, Tensor] | None = None,
) -> TransportSolution:
    """Transport plans of minimal entropic cost between the masked sources and targets of a batch.

    Minimises ``<P, C> + epsilon KL(P | a b^T) + rho_s KL(P 1 | a) + rho_t KL(P^T 1 | b)``
    (generalised KL; Cuturi 2013, Chizat et al. 2018), a missing relaxation rho standing for an
    exact marginal. One iteration updates the source potential, then the target potential, so that
    an exact target marginal is met up to rounding whatever the number of iterations. Float32
    also under autocast, float64 if the cost is float64.

    A cost of ``+inf`` forbids its pair: ``P`` is 0 there and ``<P, C>`` the sum over all others; no
    gradient reaches it. Exact marginals that no plan meets for that reason leave a problem that is
    not converged: its ``residual`` stays above twice the mass that cannot be placed.

    Rounding is relative to the exponents, which are as large as the costs over epsilon. Measured,
    an exact marginal is off by up to 0.15 max |C| / epsilon times the precision of the numbers,
    1.2e-7 in float32 and 2.2e-16 in float64: with costs of up to 2, float32 passes the default
    tolerance at an epsilon of about 1e-5. ``residual`` includes that error, and ``converged`` is
    False where it is above the tolerance.

    Args:
        cost: (B, S, T); what it holds on padding is ignored, be it NaN.
        source_mask, target_mask: (B, S), (B, T) bool, True = real; None = all real.
        source_mass, target_mass: (B, S), (B, T) a and b; None = uniform, total 1. An entry of mass
            zero is absent: it gets no transport and no gradient.
        epsilon: strength of the entropy, in units of the cost.
        max_iterations: at least 1.
        tolerance: a problem whose ``residual`` is at most this is frozen.
        source_relaxation, target_relaxation: rho, in units of the cost; None = exact marginal.
        gradient: "implicit" differentiates the fixed point (exact up to O(residual), memory of one
            plan); "unrolled" differentiates every iteration; "envelope" holds the plan constant,
            which is exact for ``regularized_cost`` at convergence and nothing else.
        annealing: iterations with a larger epsilon that come first, from each problem's largest
            cost down; they count as iterations. For an epsilon far below the costs.
        warm_start: ``potentials`` of an earlier solution, from which to start.

    Returns:
        The solution; all zero for a problem with an empty side.

    Raises:
        ValueError: on wrong shapes or numbers, NaN or -inf costs, costs that overflow when divided
            by epsilon, negative masses, unequal totals with exact marginals, a source or target
            with an exact marginal whose pairs are all forbidden (with a relaxed one it gets no
            mass), or "envelope" with masses that require a gradient.

    >>> solution = sinkhorn(torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), epsilon=0.05)
    >>> solution.coupling.round(decimals=3)
    tensor([[[0.5000, 0.0000],
             [0.0000, 0.5000]]])
    >>> cost = torch.tensor([[[torch.inf, 1.0, 0.5], [0.0, 1.0, torch.inf]]])
    >>> solution = sinkhorn(cost)
    >>> solution.coupling.round(decimals=3), solution.linear_cost.round(decimals=3)
    (tensor([[[0.0000, 0.1670, 0.3330],
             [0.3330, 0.1670, 0.0000]]]), tensor([0.5000]))
    """
    check_cost(cost)
    _check_numbers(
        epsilon, max_iterations, tolerance, annealing, source_relaxation, target_relaxation
    )
    if gradient not in ("implicit", "unrolled", "envelope"):
        raise ValueError(f"gradient: expected implicit, unrolled or envelope, found {gradient!r}")
    masses = (source_mass, target_mass)
    if gradient == "envelope" and any(m is not None and m.requires_grad for m in masses):
        raise ValueError("gradient='envelope' holds the masses constant: detach them")
    exact = source_relaxation is None, target_relaxation is None
    damping = (_damping(source_relaxation, epsilon), _damping(target_relaxation, epsilon))
    with torch.autocast(cost.device.type, enabled=False):
        problem = make_problem(cost, source_mask, target_mask, *masses, exact, epsilon)
        solve = _iterations(problem.cost, gradient)
        v = _start(problem, epsilon, (source_relaxation, target_relaxation), annealing, warm_start)
        rounding = _ROUNDING * torch.finfo(problem.cost.dtype).eps
        inside = tolerance - min(rounding, tolerance / 2)
        state = solve(problem, epsilon, damping, v, max_iterations - annealing, inside)
        parts = (problem.log_source, problem.log_target, problem.support, state.u, state.v)
        if gradient == "implicit":
            coupling = ImplicitPlan.apply(problem.blocked, *parts, epsilon, *damping)
        else:
            coupling = plan_of(problem.blocked / -epsilon, *parts)
            coupling = coupling.detach() if gradient == "envelope" else coupling
        linear_cost = (coupling * problem.cost).sum((1, 2))
        regularized_cost = _regularized_cost(
            problem, coupling, linear_cost, state, epsilon, source_relaxation, target_relaxation
        )
        # Where exponents overflow, what the next update would change is not a number.
        changed = torch.where(state.residual.isnan(), torch.inf, state.residual.detach())
        residual = torch.maximum(changed, marginal_error(problem, coupling, exact))
        f = torch.where(problem.source > 0, epsilon * state.u, 0).detach()
        g = torch.where(problem.target > 0, epsilon * state.v, 0).detach()
    return TransportSolution(
        coupling=coupling,
        potentials=(f, g),
        linear_cost=linear_cost,
        regularized_cost=regularized_cost,
        residual=residual,
        iterations=state.iterations + annealing,
        converged=residual <= tolerance,
    )
