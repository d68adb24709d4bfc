"""Forbidden pairs that leave no plan, and costs that are refused. Linear programs as oracle."""

import numpy as np
import ot
import pytest
import torch
from forbidden_pairs import GRADIENTS, INF, finite, kl
from scipy.optimize import linprog

from espnet_otreg.ot import (
    monge_gap,
    sinkhorn,
    sinkhorn_divergence,
    sparse_transport,
    squared_euclidean_cost,
)


def test_what_is_forbidden_everywhere_has_an_exact_marginal_that_nothing_meets(random_cost):
    for part, name in (((1, 4), "source 4"), ((1, slice(None), 2), "target 2")):
        cost = random_cost(2, 6, 4)
        cost[part] = INF
        for solver in (sinkhorn, sparse_transport):
            with pytest.raises(ValueError, match=f"pairs of {name} of problem 1 are forbidden"):
                solver(cost)
        mask = cost[1].isfinite().any(1 if name[0] == "s" else 0).expand(2, -1)
        masks = {"source_mask" if name[0] == "s" else "target_mask": mask}
        assert sinkhorn(cost, **masks).converged.all()  # left out, as the message says
    # Relaxing the other side does not help.
    with pytest.raises(ValueError, match="target 2 of problem 1"):
        sinkhorn(cost, source_relaxation=1.0)
    # Pairs with what has no mass are no way out.
    cost, mass = torch.tensor([[[0.0, INF], [INF, 1.0]]]), torch.tensor([[1.0, 0.0]])
    with pytest.raises(ValueError, match="source 1 of problem 0"):
        sinkhorn(cost, target_mass=mass)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_what_is_forbidden_everywhere_gets_no_mass_if_relaxed(random_cost, gradient):
    cost = random_cost(2, 6, 4)
    cost[1, 4] = INF
    cost[1, :, 2] = INF
    settings = {"epsilon": 0.1, "max_iterations": 900, "tolerance": 1e-10, "gradient": gradient}
    relaxed = {"source_relaxation": 0.4, "target_relaxation": 0.2}
    cost.requires_grad_()
    solution = sinkhorn(cost, **settings, **relaxed)
    assert solution.converged.all() and solution.coupling[1, 4].eq(0).all()
    assert solution.coupling[1, :, 2].eq(0).all() and solution.coupling[1].sum() > 0.1
    rows, columns = [0, 1, 2, 3, 5], [0, 1, 3]
    a, b = np.full(6, 1 / 6), np.full(4, 1 / 4)
    expected = ot.unbalanced.sinkhorn_unbalanced(
        a[rows], b[columns], cost[1][rows][:, columns].detach().numpy(), 0.1, (0.4, 0.2),
        reg_type="kl", numItermax=20000, stopThr=1e-14,
    )  # fmt: skip
    plan = solution.coupling[1].detach().numpy()
    np.testing.assert_allclose(plan[rows][:, columns], expected, atol=1e-8)
    # The mass that stays where it is costs what the relaxation takes for it.
    value = (plan * finite(cost[1].detach())).sum() + 0.1 * kl(plan, np.outer(a, b))
    value += 0.4 * kl(plan.sum(1), a) + 0.2 * kl(plan.sum(0), b)
    assert solution.regularized_cost[1].item() == pytest.approx(value, abs=1e-8)
    (solution.regularized_cost + solution.linear_cost).sum().backward()
    assert cost.grad is not None and cost.grad.isfinite().all()
    for part in (*solution.potentials, solution.residual):
        assert part.isfinite().all()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_everything_forbidden_and_a_single_allowed_pair(gradient):
    nothing = torch.full((1, 3, 2), INF, requires_grad=True)
    relaxed = {"source_relaxation": 0.4, "target_relaxation": 0.2, "gradient": gradient}
    solution = sinkhorn(nothing, **relaxed)
    assert solution.coupling.eq(0).all() and solution.linear_cost.item() == 0
    assert solution.regularized_cost.item() == pytest.approx(0.1 + 0.4 + 0.2)  # all KL, 1 each
    solution.regularized_cost.sum().backward()
    assert nothing.grad is not None and nothing.grad.eq(0).all()
    with pytest.raises(ValueError, match="source 0 of problem 0"):
        sinkhorn(nothing, gradient=gradient)
    for epsilon in (0.1, 1e-4):
        one = torch.full((1, 3, 2), INF)
        one[0, 1, 1] = 0.7
        solution = sinkhorn(one.requires_grad_(), epsilon=epsilon, **relaxed)
        assert solution.coupling.isfinite().all() and (solution.coupling > 0).sum() == 1
        solution.linear_cost.sum().backward()
        assert one.grad is not None and one.grad.isfinite().all()
        exact = sinkhorn(one, torch.tensor([[False, True, False]]), torch.tensor([[False, True]]))
        assert exact.coupling[0, 1, 1].item() == pytest.approx(1)
    assert sinkhorn(torch.tensor([[[0.7]]]), gradient=gradient).linear_cost.item() == (
        pytest.approx(0.7)
    )


def infeasible():
    """Two of three sources may use one of three targets only; every row and column has a pair."""
    return torch.tensor([[[0.0, INF, INF], [0.5, INF, INF], [1.0, 0.2, 0.1]]]).double()


def is_feasible(cost, source, target):
    """By a linear program."""
    s, t = cost.shape
    rows = np.kron(np.eye(s), np.ones(t))
    columns = np.kron(np.ones(s), np.eye(t))
    bounds = [(0, 0 if c == INF else None) for c in cost.flatten().tolist()]
    equal = {"A_eq": np.vstack([rows, columns]), "b_eq": np.concatenate([source, target])}
    return linprog(np.zeros(s * t), bounds=bounds, **equal).status == 0


@pytest.mark.parametrize("iterations", [3, 50, 500])
def test_infeasible_blocks_are_never_converged(iterations):
    cost = infeasible()
    assert not is_feasible(cost[0], np.full(3, 1 / 3), np.full(3, 1 / 3))
    for gradient in GRADIENTS if iterations < 500 else GRADIENTS[:1]:
        for one in (cost, cost.float(), cost.mT):
            solution = sinkhorn(one, gradient=gradient, max_iterations=iterations)
            assert not solution.converged.any() and solution.coupling.isfinite().all()
            assert solution.residual.item() > 2 / 3 - 1e-4  # twice what cannot be placed
            assert solution.iterations.item() == iterations
    sparse = sparse_transport(cost, max_iterations=min(iterations, 200))
    assert not sparse.converged.any() and sparse.residual.item() > 2 / 3 - 1e-5
    relaxed = sinkhorn(cost, source_relaxation=1.0, max_iterations=2000)
    assert relaxed.converged.all()


@pytest.mark.parametrize("seed", range(8))
def test_converged_tells_feasible_problems_from_others(seed):
    generator = np.random.default_rng(seed)
    sources, targets = generator.integers(2, 6, 2)
    cost = torch.tensor(generator.random((sources, targets)))
    cost[torch.tensor(generator.random(cost.shape) < 0.45)] = INF
    cost[torch.arange(sources), torch.tensor(generator.integers(0, targets, sources))] = 0.5
    cost[torch.tensor(generator.integers(0, sources, targets)), torch.arange(targets)] = 0.5
    masses = [generator.dirichlet(np.full(n, 3.0)) for n in cost.shape]
    given = [torch.tensor(mass)[None] for mass in masses]
    solution = sinkhorn(
        cost[None], None, None, *given, epsilon=0.5, max_iterations=4000, tolerance=1e-4
    )
    assert solution.converged.item() == is_feasible(cost, *masses)


def test_divergence_refuses_what_it_cannot_place():
    x = torch.rand(2, 3, 1, dtype=torch.float64)
    pattern = torch.ones(3, 3, dtype=torch.bool)
    pattern[0], pattern[:, 0] = False, False  # all but one have the same only partner

    def blocked(one, other):
        cost = squared_euclidean_cost(one, other)
        return torch.where(pattern, INF, cost)

    for size in (0.0025, 0.5):
        with pytest.raises(ValueError, match=r"no plan for problem 0: a mass of 0\.333"):
            sinkhorn_divergence(x, x + 1, cost=blocked, epsilon=size)
    with pytest.raises(ValueError, match="forbids pairs"):
        sinkhorn_divergence(
            x,
            x + 1,
            cost=lambda u, v: torch.where(
                torch.ones(3, 3).tril(-1) > 0, INF, squared_euclidean_cost(u, v)
            ),
        )

    def walled(one, other):
        cost = squared_euclidean_cost(one, other)
        return torch.where(torch.arange(3)[:, None] == 1, INF, cost)

    with pytest.raises(ValueError, match="source 1 of problem 0"):
        sinkhorn_divergence(x, x + 1, cost=walled)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_other_numbers_that_are_not_finite_are_refused(random_cost, value):
    cost = random_cost(2, 4, 3)
    cost[1, 2, 0] = value
    message = f"found {value} between source 2 and target 0 of problem 1"
    for solver in (sinkhorn, sparse_transport):
        with pytest.raises(ValueError, match=message):
            solver(cost)
        mask = torch.arange(4).expand(2, 4) != 2  # what padding holds is not read
        assert solver(cost, source_mask=mask).linear_cost.isfinite().all()
    points = torch.zeros(2, 4, 2)
    points[1, 2] = torch.nan
    for run in (sinkhorn_divergence, monge_gap):
        with pytest.raises(ValueError, match="found nan between source 2 and target 0"):
            run(points, torch.zeros(2, 4, 2))
