"""A batch of transport problems, checked and put in log form."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from espnet_otreg.ot.costs import working_dtype

# Totals that were meant to be equal differ by no more than float32 summation errors.
_TOTALS_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class TransportProblem:
    """Costs and masses with everything outside the support of the masses marked.

    Attributes:
        cost: (B, S, T), zero outside the support.
        support: (B, S, T) bool, pairs that may carry mass.
        source, target: (B, S) and (B, T) masses, zero outside the support.
        log_source, log_target: their logarithms, -inf outside the support. A problem with an empty
            side has zeros instead, so that its sums stay finite; its coupling is masked at the end.
    """

    cost: Tensor
    support: Tensor
    source: Tensor
    target: Tensor
    log_source: Tensor
    log_target: Tensor

    def turned(self) -> TransportProblem:
        """The problems with source and target exchanged."""
        return TransportProblem(
            self.cost.mT,
            self.support.mT,
            self.target,
            self.source,
            self.log_target,
            self.log_source,
        )

    def select(self, which: Tensor) -> TransportProblem:
        """The problems that ``which``, (B,) bool, names."""
        parts = (getattr(self, field.name)[which] for field in fields(self))
        return TransportProblem(*parts)


def _masses(
    cost: Tensor, size: int, mask: Tensor | None, mass: Tensor | None, name: str
) -> tuple[Tensor, Tensor]:
    """Mass (B, size), zero on padding, and the support (B, size); uniform if none is given."""
    shape = (cost.shape[0], size)
    if mask is None:
        mask = torch.ones(shape, dtype=torch.bool, device=cost.device)
    for kind, value in (("mask", mask), ("mass", mass)):
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"{name}_{kind}: expected shape {shape}, found {tuple(value.shape)}")
    if mask.dtype != torch.bool:
        raise ValueError(f"{name}_mask: expected bool, found {mask.dtype}")
    if mass is None:
        return mask / mask.sum(-1, keepdim=True).clamp(min=1).to(cost.dtype), mask
    mass = torch.where(mask, mass.to(cost.dtype), 0)
    # `not all(>= 0)` rather than `any(< 0)`: NaN must be caught too.
    if not bool((mass >= 0).all()) or not bool(mass.isfinite().all()):
        raise ValueError(f"{name}_mass: masses must be finite and not negative")
    return mass, mask & (mass > 0)


def make_problem(
    cost: Tensor,
    source_mask: Tensor | None,
    target_mask: Tensor | None,
    source_mass: Tensor | None,
    target_mass: Tensor | None,
    exact: bool,
) -> TransportProblem:
    """Check the arguments of a solver and build its problem.

    Args:
        cost: (B, S, T).
        source_mask, target_mask: (B, S), (B, T) bool, True = real; None = all real.
        source_mass, target_mass: (B, S), (B, T); None = uniform over the mask.
        exact: both marginals are to be met exactly, so that the totals must be equal.

    Raises:
        ValueError: on wrong shapes, negative or non-finite masses, or unequal totals.

    >>> mask = torch.tensor([[True, False]])
    >>> problem = make_problem(torch.zeros(1, 2, 2), mask, None, None, None, exact=True)
    >>> problem.source, problem.support.sum().item()
    (tensor([[1., 0.]]), 2)
    """
    if cost.dim() != 3:
        raise ValueError(f"cost: expected shape (B, S, T), found {tuple(cost.shape)}")
    cost = cost.to(working_dtype(cost))
    source, source_support = _masses(cost, cost.shape[1], source_mask, source_mass, "source")
    target, target_support = _masses(cost, cost.shape[2], target_mask, target_mass, "target")
    alive = source_support.any(-1) & target_support.any(-1)
    if exact and (source_mass is not None or target_mass is not None):
        gap = (source.sum(-1) - target.sum(-1)).detach().abs()
        unequal = alive & (gap > _TOTALS_TOLERANCE * target.detach().sum(-1))
        if bool(unequal.any()):
            raise ValueError(
                "source_mass and target_mass have unequal totals in problem "
                f"{int(unequal.nonzero()[0, 0])}: relax a marginal or make the totals equal"
            )
    support = source_support[:, :, None] & target_support[:, None, :]

    def logarithm(mass: Tensor, own_support: Tensor) -> Tensor:
        log = torch.where(own_support, torch.where(own_support, mass, 1).log(), -torch.inf)
        return torch.where(alive[:, None], log, 0)

    return TransportProblem(
        cost=torch.where(support, cost, 0),
        support=support,
        source=torch.where(source_support & alive[:, None], source, 0),
        target=torch.where(target_support & alive[:, None], target, 0),
        log_source=logarithm(source, source_support),
        log_target=logarithm(target, target_support),
    )
