"""The result of a transport solver."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.ot.problem import TransportProblem


@dataclass(frozen=True, eq=False)
class TransportSolution:
    """The plans of a batch of transport problems and how well they were solved.

    Attributes:
        coupling: (B, S, T) plan P, exact zeros on padding and where a pair is forbidden.
        potentials: dual potentials f (B, S) and g (B, T), in units of the cost, without
            gradient; zero on padding. ``P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)``.
        linear_cost: (B,) ``<P, C>`` over the pairs that are not forbidden.
        regularized_cost: (B,) ``<P, C> + epsilon KL(P | a b^T) + rho_s KL(P 1 | a) +
            rho_t KL(P^T 1 | b)``, the last two only where a marginal is relaxed.
        residual: (B,) the largest of three: the L1 error of either marginal that is exact, measured
            on the plan, and the change the next source update would make, in mass,
            ``sum_i a_i |exp((f_i - f'_i)/epsilon) - 1|``.
        iterations: (B,) int64, iterations until this problem was frozen.
        converged: (B,) bool, whether the residual is within the tolerance.
    """

    coupling: Tensor
    potentials: tuple[Tensor, Tensor]
    linear_cost: Tensor
    regularized_cost: Tensor
    residual: Tensor
    iterations: Tensor
    converged: Tensor


def marginal_error(problem: TransportProblem, coupling: Tensor, exact: tuple[bool, bool]) -> Tensor:
    """(B,) the largest L1 error of those of source and target marginal that are ``exact``.

    >>> from espnet_otreg.ot.problem import make_problem
    >>> problem = make_problem(torch.zeros(1, 2, 1), None, None, None, None)
    >>> marginal_error(problem, torch.tensor([[[0.75], [0.125]]]), (True, True))
    tensor([0.6250])
    """
    error = problem.source.new_zeros(len(coupling))
    sides = (2, problem.source), (1, problem.target)
    for (dim, mass), is_exact in zip(sides, exact, strict=True):
        if is_exact:
            own = (coupling.detach().sum(dim) - mass.detach()).abs().sum(1)
            error = torch.maximum(error, own)
    return error


def empty_solution(problem: TransportProblem) -> TransportSolution:
    """All zero: the solution of problems without a source or without a target.

    >>> from espnet_otreg.ot.problem import make_problem
    >>> problem = make_problem(torch.zeros(2, 0, 3), None, None, None, None)
    >>> empty_solution(problem).linear_cost
    tensor([0., 0.])
    """
    value = problem.cost.sum((1, 2))
    return TransportSolution(
        coupling=torch.zeros_like(problem.cost),
        potentials=(torch.zeros_like(problem.source), torch.zeros_like(problem.target)),
        linear_cost=value,
        regularized_cost=value,
        residual=value.detach(),
        iterations=torch.zeros_like(value, dtype=torch.int64),
        converged=torch.ones_like(value, dtype=torch.bool),
    )
