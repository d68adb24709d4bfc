"""Sinkhorn's iterations in the log domain: slow, differentiable, and finite at any epsilon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.ot.implicit import plan_of
from espnet_otreg.ot.problem import TransportProblem


@dataclass(frozen=True, eq=False)
class Iterate:
    """Where iterations have come to.

    Attributes:
        u, v: (B, S), (B, T) scaled potentials ``f / epsilon``, ``g / epsilon``.
        residual: (B,), see :class:`espnet_otreg.ot.TransportSolution`.
        iterations: (B,) int64.
    """

    u: Tensor
    v: Tensor
    residual: Tensor
    iterations: Tensor


class LogUpdates:
    """The two halves of an iteration, ``u = -s log sum_j b_j exp(v_j - C_ij / epsilon)`` and
    ``v = -t log sum_i a_i exp(u_i - C_ij / epsilon)``.

    Args:
        problem: a batch of B problems.
        epsilon: strength of the entropy, in units of the cost; (B, 1) where problems differ.
        damping: ``s`` and ``t``, 1 where a marginal is exact; likewise.
    """

    def __init__(
        self,
        problem: TransportProblem,
        epsilon: float | Tensor,
        damping: tuple[float | Tensor, float | Tensor] = (1.0, 1.0),
    ) -> None:
        self.problem, self.epsilon, self.damping = problem, epsilon, damping
        scale = epsilon[:, :, None] if isinstance(epsilon, Tensor) else epsilon
        self.scores = problem.blocked / -scale

    def source(self, v: Tensor) -> Tensor:
        """(B, T) target potentials to (B, S) source potentials."""
        weighted = self.scores + (self.problem.log_target + v)[:, None, :]
        return -self.damping[0] * torch.logsumexp(weighted, dim=2)

    def target(self, u: Tensor) -> Tensor:
        """(B, S) source potentials to (B, T) target potentials."""
        weighted = self.scores + (self.problem.log_source + u)[:, :, None]
        return -self.damping[1] * torch.logsumexp(weighted, dim=1)

    def plan(self, u: Tensor, v: Tensor, outside: float = 0.0) -> Tensor:
        """(B, S, T) of scaled potentials (B, S) and (B, T), with one number outside the support."""
        problem = self.problem
        masses = problem.log_source, problem.log_target
        return plan_of(self.scores, *masses, problem.support, u, v, outside)

    def select(self, which: Tensor) -> LogUpdates:
        """The updates of the problems ``which`` (B,) alone."""
        return LogUpdates(self.problem.select(which), self.epsilon, self.damping)

    def iterate(self, v: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The potentials after ``count`` iterations, at least one, from (B, T) ``v``."""
        for _ in range(count):
            u = self.source(v)
            v = self.target(u)
        return u, v


def residual_of(problem: TransportProblem, u: Tensor, next_u: Tensor) -> Tensor:
    """(B,) mass that the next source update moves: ``sum_i a_i |exp(u_i - u'_i) - 1|``."""
    change = torch.expm1((u - next_u).detach()).abs()
    return (problem.source.detach() * torch.where(problem.source > 0, change, 0)).sum(1)


def anneal(
    problem: TransportProblem,
    epsilon: float,
    relaxations: tuple[float | None, float | None],
    v: Tensor,
    steps: int,
) -> Tensor:
    """Potentials to start from: one iteration for each epsilon of a falling geometric sequence.

    Args:
        problem: a batch of B problems.
        epsilon: where the sequence would end after ``steps``; each problem's own begins at its
            largest cost.
        relaxations: of source and target, in units of the cost.
        v: (B, T) scaled target potentials ``g / epsilon``.
        steps: length of the sequence.

    Returns:
        (B, T) scaled target potentials.
    """
    g = epsilon * v
    for now in falling(problem, epsilon, steps):
        s, t = (1.0 if rho is None else rho / (rho + now) for rho in relaxations)
        _, v = LogUpdates(problem, now, (s, t)).iterate(g / now, 1)
        g = now * v
    return g / epsilon


def falling(problem: TransportProblem, epsilon: float, steps: int) -> Iterator[Tensor]:
    """``steps`` values (B, 1) from each problem's largest cost towards epsilon, as a geometric
    sequence that would reach it next."""
    costs = torch.nn.functional.pad(problem.cost.detach().flatten(1), (0, 1))  # may be empty
    largest = costs.amax(1, keepdim=True).clamp(min=epsilon)
    for step in range(steps):
        yield largest * (epsilon / largest) ** (step / steps)


def iterate_in_log_domain(
    problem: TransportProblem,
    epsilon: float,
    damping: tuple[float, float],
    v: Tensor,
    max_iterations: int,
    tolerance: float,
) -> Iterate:
    """Alternate source and target updates from ``v`` until every problem is within the tolerance.

    The residual of an iterate costs nothing extra: the source update that measures it is the first
    half of the next iteration. A problem within the tolerance keeps its potentials, so that its
    result does not depend on the others of the batch.
    """
    updates = LogUpdates(problem, epsilon, damping)
    u, v = updates.iterate(v, 1)
    iterations = torch.ones(len(v), dtype=torch.int64, device=v.device)
    for _ in range(max_iterations - 1):
        next_u = updates.source(v)
        residual = residual_of(problem, u, next_u)
        active = ~(residual <= tolerance)  # a NaN is not within the tolerance
        if not bool(active.any()):
            return Iterate(u, v, residual, iterations)
        u = torch.where(active[:, None], next_u, u)
        v = torch.where(active[:, None], updates.target(u), v)
        iterations = iterations + active
    with torch.no_grad():
        return Iterate(u, v, residual_of(problem, u, updates.source(v)), iterations)
