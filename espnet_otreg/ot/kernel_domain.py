"""Sinkhorn's iterations on the kernel matrix: two matrix-vector products each, no exponentials.

About potentials ``u``, ``v`` the kernel is ``K_ij = a_i b_j exp(u_i + v_j - C_ij / epsilon)``, and
an iteration rescales it: ``x = a / (K y)``, ``y = b / (K^T x)``. As long as the scalings stay
within twelve orders of magnitude this loses nothing. Where they leave them, that problem's last few
iterations are done again in the log domain, and its kernel is made anew about where they lead
(Schmitzer 2019 calls that absorption).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from espnet_otreg.ot.log_domain import Iterate, LogUpdates, residual_of
from espnet_otreg.ot.problem import TransportProblem

# Iterations between two looks at the residual and at the scalings.
LOOK_EVERY = 5
_WIDEST = math.log(1e12)


class _Kernel:
    """The kernels of a batch, in the two layouts that fast products want.

    Outside the support stand ones: they keep the sums there positive and are never weighed, since
    scalings without mass are zero.
    """

    def __init__(self, updates: LogUpdates, u: Tensor, v: Tensor) -> None:
        self.updates, self.problem, self.damping = updates, updates.problem, updates.damping
        self.u, self.v = u, v
        self.present = tuple(
            (m > 0).to(m.dtype) for m in (self.problem.source, self.problem.target)
        )
        self.by_source = updates.plan(u, v, outside=1)
        self.by_target = self.by_source.mT.contiguous()
        self._sums = u.new_empty(len(u), 1, u.shape[1]), u.new_empty(len(v), 1, v.shape[1])
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
        made = self.updates.select(which).plan(u, v, outside=1)
        self.by_source[which], self.by_target[which] = made, made.mT
        self._make_lifts()

    def update_source(self, y: Tensor) -> Tensor:
        """(B, T) target scalings to (B, S) source scalings."""
        sums = torch.bmm(y[:, None, :], self.by_target, out=self._sums[0])[:, 0]
        x = self.problem.source / sums
        return x if self._source_lift is None else x.pow_(self.damping[0]).mul_(self._source_lift)

    def update_target(self, x: Tensor) -> Tensor:
        """(B, S) source scalings to (B, T) target scalings."""
        sums = torch.bmm(x[:, None, :], self.by_source, out=self._sums[1])[:, 0]
        y = self.problem.target / sums
        return y if self._target_lift is None else y.pow_(self.damping[1]).mul_(self._target_lift)

    def shifts(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What scalings add to the potentials, (B, S) and (B, T); 0 without mass."""
        shift_u = torch.where(self.problem.source > 0, x.log(), 0)
        return shift_u, torch.where(self.problem.target > 0, y.log(), 0)


def _tight_start(updates: LogUpdates) -> tuple[Tensor, Tensor]:
    """Potentials about which every row and every column of the kernel has its largest entry, and
    that is the product of its masses: nothing underflows (the c-transform of zero)."""
    if updates.scores.numel() == 0:
        return torch.zeros_like(updates.problem.source), torch.zeros_like(updates.problem.target)
    scores = updates.scores.masked_fill(~updates.problem.support, -torch.inf)
    u = -_finite(scores.amax(2))
    return u, -_finite((scores + u[:, :, None]).amax(1))


def _finite(values: Tensor) -> Tensor:
    return torch.where(values == -torch.inf, 0, values)


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
    updates = LogUpdates(problem, epsilon, damping)
    kernel = _Kernel(updates, *_tight_start(updates))
    y = torch.where(problem.target > 0, (v - kernel.v).exp(), 0)
    found_u, found_v = kernel.u, kernel.v
    residual = v.new_full((len(v),), torch.inf)
    iterations = torch.zeros_like(residual, dtype=torch.int64)
    taken = 0
    while taken < max_iterations:
        count = min(LOOK_EVERY, max_iterations - taken)
        for _ in range(count):
            x = kernel.update_source(y)
            y = kernel.update_target(x)
        taken += count
        shift_u, shift_v = kernel.shifts(x, y)
        inside = (shift_u.abs() <= _WIDEST).all(1) & (shift_v.abs() <= _WIDEST).all(1)
        if not bool(inside.all()):  # NaN is not inside
            wide = ~inside
            kernel.remake(wide, *updates.select(wide).iterate(v[wide], count))
            # Not one where there is no mass: the kernel is one there.
            x[wide], y[wide] = kernel.present[0][wide], kernel.present[1][wide]
            shift_u[wide], shift_v[wide] = 0, 0
        u, v = kernel.u + shift_u, kernel.v + shift_v
        if tolerance > 0 or taken == max_iterations:
            # What has converged stays as it was found; running on with the others does no harm.
            active = ~(residual <= tolerance)
            found_u = torch.where(active[:, None], u, found_u)
            found_v = torch.where(active[:, None], v, found_v)
            now = residual_of(problem, shift_u, kernel.update_source(y).log())
            residual = torch.where(active, now, residual)
            iterations = torch.where(active, taken, iterations)
            if bool((residual <= tolerance).all()):
                break
    return Iterate(found_u, found_v, residual, iterations)
