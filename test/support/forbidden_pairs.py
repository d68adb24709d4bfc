"""Costs with forbidden pairs, and what POT makes of very large ones."""

import numpy as np
import ot
import torch

from espnet_otreg.ot import sinkhorn, squared_euclidean_cost

INF = torch.inf
GRADIENTS = ("implicit", "unrolled", "envelope")
RELAXATIONS = [(None, None), (0.3, None), (None, 0.3), (0.3, 0.5)]
SOLVED = {"max_iterations": 20000, "tolerance": 1e-12}
LARGE = 1e3  # what POT takes for infinite: exp(-LARGE / epsilon) is 0, and rounding still small


def window(sources: int, targets: int, width: float) -> torch.Tensor:
    """(S, T) pairs further apart than ``width`` in relative position; a plan without them exists
    for uniform masses if the width is more than one step."""
    s, t = (torch.arange(n) + 0.5 for n in (sources, targets))
    return ((s / sources)[:, None] - (t / targets)[None]).abs() > width


def windowed(width):
    def cost(x, y):
        near = window(x.shape[1], y.shape[1], width)
        return torch.where(near, INF, squared_euclidean_cost(x, y))

    return cost


def forbidding(random_cost, batch=2, sources=9, targets=6, width=0.25, **options):
    cost = random_cost(batch, sources, targets, **options)
    forbidden = window(sources, targets, width).expand(cost.shape)
    return torch.where(forbidden, INF, cost), forbidden


def solve(cost, relaxations, gradient="implicit", **settings):
    return sinkhorn(
        cost,
        source_relaxation=relaxations[0],
        target_relaxation=relaxations[1],
        gradient=gradient,
        **(settings or SOLVED),
    )


def pots_plan(cost, epsilon, relaxations=(None, None)):
    """POT's plan of a cost (S, T), uniform masses; a large cost stands for an infinite one."""
    a, b = (np.full(n, 1 / n) for n in cost.shape)
    problem = (a, b, torch.where(cost == INF, LARGE, cost).double().numpy(), epsilon)
    if relaxations == (None, None):
        stop = {"numItermax": 20000, "stopThr": 1e-10}
        return ot.sinkhorn(*problem, method="sinkhorn_log", **stop)
    strengths = tuple(np.inf if rho is None else rho for rho in relaxations)
    stop = {"reg_type": "kl", "numItermax": 20000, "stopThr": 1e-14}
    return ot.unbalanced.sinkhorn_unbalanced(*problem, strengths, **stop)


def finite(cost):
    """A cost with zeros for infinities, as a NumPy array."""
    return torch.where(cost == INF, 0, cost).numpy()


def kl(p, q):
    return float(np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0) - p + q))
