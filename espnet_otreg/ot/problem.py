"""A batch of transport problems, checked and put in log form.

A pair whose cost is ``+inf`` is forbidden: the plan is 0 there, and the value is the sum over all
others. Iterations read costs as ``blocked``, where such pairs are infinite and ``exp(-inf)`` is an
exact zero; products with costs use ``cost``, where they are 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.precision import working_dtype

# Totals that were meant to be equal differ by no more than float32 summation errors.
_TOTALS_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class TransportProblem:
    """Costs and masses with everything outside the support of the masses marked.

    Attributes:
        cost: (B, S, T), finite; zero outside the support and where a pair is forbidden.
        blocked: (B, S, T), ``cost`` with ``+inf`` where a pair of the support is forbidden;
            ``cost`` itself where none is. Every source and target of the support has an allowed
            pair, so that sums of ``exp(-blocked)`` along rows and columns are positive.
        support: (B, S, T) bool, pairs of a source and a target that have mass to exchange.
        source, target: (B, S) and (B, T) masses, zero outside the support.
        log_source, log_target: their logarithms, -inf outside the support. A problem with an empty
            side has zeros instead, so that its sums stay finite; its coupling is masked at the end.
        stranded: (B, 2) mass of sources and of targets that relaxed marginals leave where it is,
            because all pairs are forbidden to it.
    """

    cost: Tensor
    blocked: Tensor
    support: Tensor
    source: Tensor
    target: Tensor
    log_source: Tensor
    log_target: Tensor
    stranded: Tensor

    @property
    def forbids(self) -> bool:
        """Whether any pair is forbidden; known without looking at the costs."""
        return self.blocked is not self.cost

    @property
    def allowed(self) -> Tensor:
        """(B, S, T) bool, the support without forbidden pairs."""
        return self.support & (self.blocked < torch.inf) if self.forbids else self.support

    def transposed(self) -> TransportProblem:
        """The problems with source and target exchanged."""
        cost = self.cost.mT
        return TransportProblem(
            cost,
            self.blocked.mT if self.forbids else cost,
            self.support.mT,
            self.target,
            self.source,
            self.log_target,
            self.log_source,
            self.stranded.flip(1),
        )

    def select(self, which: Tensor) -> TransportProblem:
        """The problems that ``which``, (B,) bool, names."""
        parts = (getattr(self, field.name)[which] for field in fields(self))
        return TransportProblem(*parts)


def check_cost(cost: Any) -> None:
    """Raise ValueError unless a cost is a real tensor of shape (B, S, T).

    >>> check_cost(torch.zeros(2, 3))
    Traceback (most recent call last):
    ValueError: cost: expected a real tensor of shape (B, S, T), found shape (2, 3), torch.float32
    """
    if cost.dim() != 3 or cost.is_complex():
        found = f"shape {tuple(cost.shape)}, {cost.dtype}"
        raise ValueError(f"cost: expected a real tensor of shape (B, S, T), found {found}")


def _masses(
    cost: Tensor, size: int, mask: Tensor | None, mass: Tensor | None, name: str
) -> tuple[Tensor, Tensor]:
    """Mass (B, size), zero on padding, and the mask (B, size); uniform if none is given."""
    shape = (cost.shape[0], size)
    if mask is None:
        mask = torch.ones(shape, dtype=torch.bool, device=cost.device)
    for kind, value in (("mask", mask), ("mass", mass)):
        if value is None:
            continue
        if tuple(value.shape) != shape:
            raise ValueError(f"{name}_{kind}: expected shape {shape}, found {tuple(value.shape)}")
    if mask.dtype != torch.bool:
        raise ValueError(f"{name}_mask: expected bool, found {mask.dtype}")
    if mass is None:
        return mask / mask.sum(-1, keepdim=True).clamp(min=1).to(cost.dtype), mask
    mass = torch.where(mask, mass.to(cost.dtype), 0)
    # `not all(>= 0)` rather than `any(< 0)`: NaN must be caught too.
    if not bool((mass >= 0).all()) or not bool(mass.isfinite().all()):
        raise ValueError(f"{name}_mass: masses must be finite and not negative")
    return mass, mask


def _check_totals(source: Tensor, target: Tensor, real: Tensor) -> None:
    """Raise ValueError where totals (B, S) and (B, T) of ``real`` (B,) problems are unequal."""
    totals = source.detach().sum(-1), target.detach().sum(-1)
    gap = (totals[0] - totals[1]).abs()
    unequal = real & (gap > _TOTALS_TOLERANCE * torch.maximum(*totals))
    if bool(unequal.any()):
        raise ValueError(
            "source_mass and target_mass have unequal totals in problem "
            f"{int(unequal.nonzero()[0, 0])}: relax a marginal or make the totals equal"
        )


def _check_costs(cost: Tensor, strength: float) -> bool:
    """Whether any cost (B, S, T) is infinite; ValueError on NaN, -inf and too large ones."""
    if cost.numel() == 0:
        return False
    entries = cost.detach()
    lowest, highest = torch.stack([entries.amin(), entries.amax()]).tolist()  # NaN wins in both
    if math.isnan(lowest) or lowest == -math.inf:
        b, i, j = (cost.isnan() | (cost == -torch.inf)).nonzero()[0].tolist()
        raise ValueError(
            "cost: expected numbers or inf for a forbidden pair, found "
            f"{float(cost.detach()[b, i, j])} between source {i} and target {j} of problem {b}"
        )
    forbids = highest == math.inf
    if forbids:
        highest = float(torch.where(cost < torch.inf, cost, 0).detach().max())
    largest = max(highest, -lowest)
    if largest > torch.finfo(cost.dtype).max / 8 * min(strength, 1):
        name = str(cost.dtype).removeprefix("torch.")
        raise ValueError(f"cost: {largest:g} divided by {strength:g} is too large for {name}")
    return forbids


def _with_a_pair(allowed: Tensor, present: Tensor, exact: bool, dim: int, name: str) -> Tensor:
    """The sources, or targets, ``present`` that have an allowed pair along ``dim``.

    Raises:
        ValueError: if one has none although its mass is to be met exactly.
    """
    paired = allowed.any(dim)
    alone = present & ~paired
    if exact and bool(alone.any()):
        b, i = alone.nonzero()[0].tolist()
        raise ValueError(
            f"cost: all pairs of {name} {i} of problem {b} are forbidden, and its mass is to be "
            "met exactly: allow one, leave it out by the mask or relax the marginal"
        )
    return paired


def make_problem(
    cost: Tensor,
    source_mask: Tensor | None,
    target_mask: Tensor | None,
    source_mass: Tensor | None,
    target_mass: Tensor | None,
    exact: tuple[bool, bool] = (True, True),
    strength: float = 1.0,
) -> TransportProblem:
    """Check the arguments of a solver and build its problem.

    Args:
        cost: (B, S, T); ``+inf`` forbids a pair.
        source_mask, target_mask: (B, S), (B, T) bool, True = real; None = all real.
        source_mass, target_mass: (B, S), (B, T); None = uniform over the mask.
        exact: whether source and target marginal are to be met exactly; if both are, the totals
            must be equal.
        strength: costs are going to be divided by it.

    Raises:
        ValueError: on wrong shapes, costs that are NaN or -inf or overflow when divided, negative
            or non-finite masses, unequal totals, or a source or target with an exact marginal
            whose pairs are all forbidden.

    >>> mask = torch.tensor([[True, False]])
    >>> problem = make_problem(torch.zeros(1, 2, 2), mask, None, None, None)
    >>> problem.source, problem.support.sum().item()
    (tensor([[1., 0.]]), 2)
    """
    check_cost(cost)
    cost = cost.to(working_dtype(cost))
    source, source_mask = _masses(cost, cost.shape[1], source_mask, source_mass, "source")
    target, target_mask = _masses(cost, cost.shape[2], target_mask, target_mass, "target")
    if all(exact) and (source_mass is not None or target_mass is not None):
        _check_totals(source, target, source_mask.any(-1) & target_mask.any(-1))
    source_support, target_support = source_mask & (source > 0), target_mask & (target > 0)
    alive = source_support.any(-1) & target_support.any(-1)
    support = source_support[:, :, None] & target_support[:, None, :]
    stranded = source.new_zeros(len(cost), 2)
    blocked = finite = torch.where(support, cost, 0)
    if _check_costs(finite, strength):
        forbidden = finite == torch.inf
        allowed = support & ~forbidden
        own = source_support & alive[:, None], target_support & alive[:, None]
        source_support = _with_a_pair(allowed, own[0], exact[0], 2, "source")
        target_support = _with_a_pair(allowed, own[1], exact[1], 1, "target")
        stranded = torch.stack(
            [
                torch.where(own[0] & ~source_support, source, 0).sum(1),
                torch.where(own[1] & ~target_support, target, 0).sum(1),
            ],
            dim=1,
        )
        alive = alive & source_support.any(-1)
        support = source_support[:, :, None] & target_support[:, None, :]
        # Forbidden pairs take constants: no gradient passes, whatever would arrive there.
        finite = torch.where(allowed, cost, 0)
        barrier = torch.where(forbidden & support, torch.inf, torch.zeros_like(cost))
        blocked = finite + barrier

    def logarithm(mass: Tensor, own_support: Tensor) -> Tensor:
        log = torch.where(own_support, torch.where(own_support, mass, 1).log(), -torch.inf)
        return torch.where(alive[:, None], log, 0)

    return TransportProblem(
        cost=finite,
        blocked=blocked,
        support=support,
        source=torch.where(source_support & alive[:, None], source, 0),
        target=torch.where(target_support & alive[:, None], target, 0),
        log_source=logarithm(source, source_support),
        log_target=logarithm(target, target_support),
        stranded=stranded,
    )
