"""The gradient of an entropic plan by implicit differentiation of its fixed point.

With scaled potentials ``u = f / epsilon`` and ``v = g / epsilon`` the solution satisfies

    u_i = -s log sum_j b_j exp(v_j - C_ij / epsilon)
    v_j = -t log sum_i a_i exp(u_i - C_ij / epsilon)

where the damping ``s = rho_s / (rho_s + epsilon)`` is 1 for an exact marginal, ``t`` likewise. Let
``R = P / (P 1)`` and ``Q = P / (P^T 1)`` be the row- and column-conditional plans. A loss with
gradients ``gu``, ``gv`` for the potentials then asks for the solution of the adjoint system

    wu + t Q wv = gu,        wv + s R^T wu = gv,

from which everything else follows by one more differentiation of the two equations. Eliminating
the longer side leaves a symmetric positive system of the size of the shorter one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Added to the diagonal (whose entries are at most 1) so that Cholesky never meets an exact zero,
# as it does where the plan falls apart into blocks; far below what float32 inputs can resolve.
_RIDGE = 1e-12
# Rows and columns of less mass count as empty: their inverse would overflow float64.
_LEAST = 1e-290


def plan_of(
    scores: Tensor,
    log_source: Tensor,
    log_target: Tensor,
    support: Tensor,
    u: Tensor,
    v: Tensor,
    outside: float = 0.0,
) -> Tensor:
    """``P_ij = a_i b_j exp(u_i + v_j + scores_ij)``, (B, S, T), with one number off the support.

    >>> zero = torch.zeros(1, 1)
    >>> plan_of(torch.zeros(1, 1, 1), zero, zero, torch.ones(1, 1, 1).bool(), zero, zero)
    tensor([[[1.]]])
    """
    plan = ((log_source + u)[:, :, None] + (log_target + v)[:, None, :] + scores).exp()
    # -inf log masses make exact zeros of padding, with no gradient; the support matters for
    # problems with an empty side.
    return torch.where(support, plan, outside)


def solve_adjoint(
    plan: Tensor, gradient_u: Tensor, gradient_v: Tensor, s: float, t: float
) -> tuple[Tensor, Tensor]:
    """Solve ``wu + t Q wv = gu, wv + s R^T wu = gv`` for every plan of the batch.

    With both marginals exact the system is singular: adding a constant to u and taking it from v
    changes no plan. The solution without a component along that direction is returned, which is
    right for every loss that depends on the potentials through the plan.

    Args:
        plan: (B, S, T) float64; rows and columns of zeros are left alone.
        gradient_u: (B, S).
        gradient_v: (B, T).
        s, t: damping of source and target, in (0, 1].

    >>> plan = torch.tensor([[[0.5, 0.25], [0.0, 0.25]]], dtype=torch.float64)
    >>> gradient_u, gradient_v = plan.new_tensor([[1.0, 2.0]]), plan.new_tensor([[3.0, 4.0]])
    >>> w_u, w_v = solve_adjoint(plan, gradient_u, gradient_v, 0.5, 0.5)
    >>> q = plan / plan.sum(1, keepdim=True)
    >>> torch.allclose(w_u + 0.5 * (q @ w_v[..., None])[..., 0], gradient_u)
    True
    """
    if plan.shape[1] < plan.shape[2]:
        w_v, w_u = solve_adjoint(plan.mT, gradient_v, gradient_u, t, s)
        return w_u, w_v
    row, column = plan.sum(2), plan.sum(1)
    row_root = torch.where(row > _LEAST, row, 1).rsqrt()
    column_root = torch.where(column > _LEAST, column, 1).sqrt()
    # N = diag(row)^-1/2 P diag(column)^-1/2 has singular values in [0, 1].
    normal = row_root[:, :, None] * plan / column_root[:, None, :]
    system = torch.eye(plan.shape[2], dtype=plan.dtype, device=plan.device) * (1 + _RIDGE)
    system = system - s * t * (normal.mT @ normal)
    if s * t == 1:
        total = column.sum(1, keepdim=True)
        null = column.sqrt() / total.sqrt().clamp(min=torch.finfo(plan.dtype).tiny)
        system = system + null[:, :, None] * null[:, None, :]
    scaled = (row_root.square() * gradient_u)[:, None, :] @ plan  # R^T gu as a row vector
    right = (gradient_v - s * scaled[:, 0]) / column_root
    factor, _ = torch.linalg.cholesky_ex(system)
    w_v = column_root * torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]
    w_u = gradient_u - t * (plan @ (w_v / column_root.square())[:, :, None])[:, :, 0]
    return w_u, w_v


class ImplicitPlan(torch.autograd.Function):
    """Plan of given optimal potentials whose gradient includes that of the potentials."""

    @staticmethod
    def forward(
        ctx: Any,
        cost: Tensor,
        log_source: Tensor,
        log_target: Tensor,
        support: Tensor,
        u: Tensor,
        v: Tensor,
        epsilon: float,
        s: float,
        t: float,
    ) -> Tensor:
        """The plan of potentials that are optimal for the cost; formulas in the module."""
        plan = plan_of(cost / -epsilon, log_source, log_target, support, u, v)
        ctx.save_for_backward(plan)
        ctx.epsilon, ctx.s, ctx.t = epsilon, s, t
        return plan

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Solve the adjoint system, so that the gradient is that of the fixed point."""
        (saved,) = ctx.saved_tensors
        s, t, dtype = ctx.s, ctx.t, saved.dtype
        with torch.autocast(saved.device.type, enabled=False):
            # float64 throughout: where the plan is nearly made of blocks the system is nearly
            # singular, and float32 rounding of its right side would be blown up.
            plan = saved.double()
            direct = plan * gradient.double()
            gradient_u, gradient_v = direct.sum(2), direct.sum(1)
            w_u, w_v = solve_adjoint(plan, gradient_u, gradient_v, s, t)
            row, column = plan.sum(2), plan.sum(1)
            u_share = s * w_u / torch.where(row > _LEAST, row, 1)
            v_share = t * w_v / torch.where(column > _LEAST, column, 1)
            through = plan * (u_share[:, :, None] + v_share[:, None, :])
            grad_cost = (through - direct) / ctx.epsilon
            grad_source = gradient_u - (plan @ v_share[:, :, None])[:, :, 0]
            grad_target = gradient_v - (u_share[:, None, :] @ plan)[:, 0]
        return grad_cost.to(dtype), grad_source.to(dtype), grad_target.to(dtype), *[None] * 6
