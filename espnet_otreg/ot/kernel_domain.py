"""Sinkhorn's iterations on the kernel matrix: two matrix-vector products each, no exponentials.

About potentials ``u``, ``v`` the kernel is the plan itself, ``K_ij = a_i b_j exp(u_i + v_j -
C_ij / epsilon)``, and an iteration rescales it: ``x = a / (K y)``, ``y = b / (K^T x)``. As long as
the scalings stay small this loses nothing; where they grow, those iterations are done again in the
log domain and the kernel is made anew about where they lead. Two iterations in the log domain come
first, because from nothing the first kernel would underflow (Schmitzer 2019 calls the remaking
absorption).
"""

from __future__ import annotations

import torch
from torch import Tensor

from espnet_otreg.ot.log_domain import Iterate, LogUpdates, residual_of
from espnet_otreg.ot.problem import TransportProblem

_LOG_ITERATIONS = 2
# Iterations between two looks at the residual and at the scalings.
_BLOCK = 5
# Scalings up to here leave float32 twenty-six orders of magnitude below a mass of one.
_WIDEST = 1e6


class _Kernel:
    """The kernels of a batch about potentials (B, S) and (B, T), in the two layouts that fast
    products want."""

    def __init__(self, updates: LogUpdates, u: Tensor, v: Tensor) -> None:
        self.updates, self.problem, self.damping = updates, updates.problem, updates.damping
        self.u, self.v = u, v
        self.by_source = updates.plan(u, v)
        self.by_target = self.by_source.mT.contiguous()
        self._tiny = torch.finfo(u.dtype).tiny
        self._make_lifts()

    def _make_lifts(self) -> None:
        # A relaxed update is (a / K y)^s times what the damping takes off the old potential.
        s, t = self.damping
        self._source_lift = None if s == 1 else ((s - 1) * self.u).exp()
        self._target_lift = None if t == 1 else ((t - 1) * self.v).exp()

    def remake(self, which: Tensor, u: Tensor, v: Tensor) -> None:
        """Move the kernels of the problems ``which`` (B,) to the potentials ``u`` and ``v``."""
        self.u, self.v = self.u.clone(), self.v.clone()
        self.u[which], self.v[which] = u, v
        made = self.updates.select(which).plan(u, v)
        self.by_source[which], self.by_target[which] = made, made.mT
        self._make_lifts()

    def update_source(self, y: Tensor) -> Tensor:
        """(B, T) target scalings to (B, S) source scalings."""
        x = torch.bmm(y[:, None, :], self.by_target)[:, 0].clamp_(min=self._tiny)
        torch.div(self.problem.source, x, out=x)
        return x if self._source_lift is None else x.pow_(self.damping[0]).mul_(self._source_lift)

    def update_target(self, x: Tensor) -> Tensor:
        """(B, S) source scalings to (B, T) target scalings."""
        y = torch.bmm(x[:, None, :], self.by_source)[:, 0].clamp_(min=self._tiny)
        torch.div(self.problem.target, y, out=y)
        return y if self._target_lift is None else y.pow_(self.damping[1]).mul_(self._target_lift)

    def potentials(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The scaled potentials (B, S) and (B, T) that scalings stand for."""
        u = self.u + torch.where(self.problem.source > 0, x.log(), 0)
        return u, self.v + torch.where(self.problem.target > 0, y.log(), 0)


def _too_wide(problem: TransportProblem, x: Tensor, y: Tensor) -> Tensor:
    """(B,) whether any scaling of a real entry has left the range; NaN has."""

    def within(scaling: Tensor, mass: Tensor) -> Tensor:
        fits = (scaling <= _WIDEST) & (scaling >= 1 / _WIDEST)
        return (fits | (mass == 0)).all(1)

    return ~(within(x, problem.source) & within(y, problem.target))


@torch.no_grad()
def iterate_in_kernel_domain(
    problem: TransportProblem,
    epsilon: float,
    damping: tuple[float, float],
    v: Tensor,
    max_iterations: int,
    tolerance: float,
) -> Iterate:
    """The iterations of :func:`iterate_in_log_domain` with the same results up to rounding.

    The residual is looked at after every fifth iteration only, so that a problem may make up to
    four more than it needs. Looking, and remaking a kernel, concern each problem by itself, so that
    its result does not depend on the others of the batch.
    """
    taken = min(_LOG_ITERATIONS, max_iterations)
    updates = LogUpdates(problem, epsilon, damping)
    kernel = _Kernel(updates, *updates.iterate(v, taken))
    x, y = torch.ones_like(kernel.u), torch.ones_like(kernel.v)
    found_u, found_v = kernel.u, kernel.v
    residual = x.new_full((len(x),), torch.inf)
    iterations = torch.full_like(residual, taken, dtype=torch.int64)
    while True:
        next_x = kernel.update_source(y)
        # What has converged stays as it was found; running on with the others does it no harm.
        active = ~(residual <= tolerance)
        u, v = kernel.potentials(x, y)
        found_u = torch.where(active[:, None], u, found_u)
        found_v = torch.where(active[:, None], v, found_v)
        now = residual_of(problem, x.log(), next_x.log())
        residual = torch.where(active, now, residual)
        iterations = torch.where(active, taken, iterations)
        if taken == max_iterations or bool((residual <= tolerance).all()):
            return Iterate(found_u, found_v, residual, iterations)
        count = min(_BLOCK, max_iterations - taken)
        x = next_x
        y = kernel.update_target(x)
        for _ in range(count - 1):
            x = kernel.update_source(y)
            y = kernel.update_target(x)
        taken += count
        wide = _too_wide(problem, x, y)
        if bool(wide.any()):
            kernel.remake(wide, *updates.select(wide).iterate(v[wide], count))
            x[wide], y[wide] = 1, 1
