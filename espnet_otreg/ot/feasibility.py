"""Feasibility of marginals under forbidden pairs.

By Hall's theorem a problem of equal totals has a plan exactly if no set of sources has more mass
than the targets that it may use. Iterations that do not end show such a set: they ask for more and
more mass for the sources in it (iterative proportional fitting, Gietl and Reffel 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor

from espnet_otreg.ot.problem import TransportProblem


def unplaced_mass(problem: TransportProblem, wanted: Tensor) -> Tensor:
    """Mass that no plan can place, as far as sets of the most wanting sources show it.

    ``max_k a(S_k) - b(N(S_k))``, with S_k the k sources that want most and N(S_k) the targets of
    their allowed pairs. Never more than the truth; 0 where a plan exists.

    Args:
        problem: a batch of B problems.
        wanted: (B, S) what the next source update would add to the potentials.

    Returns:
        (B,) not negative.

    >>> from espnet_otreg.ot.problem import make_problem
    >>> cost = torch.tensor([[[0.0, torch.inf, torch.inf], [0.0, torch.inf, torch.inf], [1.0] * 3]])
    >>> problem = make_problem(cost, None, None, None, None)
    >>> unplaced_mass(problem, torch.tensor([[0.3, 0.2, -0.1]]))  # two thirds on one third
    tensor([0.3333])
    """
    order = torch.where(problem.source > 0, wanted, -torch.inf).argsort(1, descending=True)
    allowed = problem.allowed.gather(1, order[:, :, None].expand(problem.allowed.shape))
    reached = torch.where(allowed.cumsum(1) > 0, problem.target[:, None, :], 0).sum(2)
    return (problem.source.gather(1, order).cumsum(1) - reached).amax(1).clamp(min=0)


def check_feasible(problem: TransportProblem, wanted: Tensor, tolerance: float) -> None:
    """Raise ValueError if more mass than the tolerance is seen to be impossible to place.

    Args:
        problem, wanted: as above.
        tolerance: of the mass.
    """
    if not problem.forbids:
        return
    unplaced = unplaced_mass(problem, wanted)
    # Equal totals are equal up to rounding.
    impossible = unplaced > max(tolerance, 1e-3) * problem.source.sum(1)
    if bool(impossible.any()):
        b = int(impossible.nonzero()[0, 0])
        raise ValueError(
            f"cost: forbidden pairs leave no plan for problem {b}: a mass of "
            f"{float(unplaced[b]):.3g} has nowhere to go"
        )
