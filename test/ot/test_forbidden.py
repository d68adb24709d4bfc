"""Forbidden pairs: costs of +inf in every solver. POT and finite differences as oracles."""

import numpy as np
import ot
import pytest
import torch
from forbidden_pairs import (
    GRADIENTS,
    INF,
    LARGE,
    RELAXATIONS,
    SOLVED,
    finite,
    forbidding,
    kl,
    pots_plan,
    solve,
    window,
    windowed,
)

from espnet_otreg.ot import (
    cosine_cost,
    hard_alignment,
    monge_gap,
    monotonic_alignment,
    row_entropy,
    row_impurity,
    row_spread,
    sinkhorn,
    sinkhorn_divergence,
    sparse_transport,
    squared_euclidean_cost,
)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("relaxations", RELAXATIONS)
def test_plan_and_values_are_those_of_very_large_costs(random_cost, relaxations, gradient):
    cost, forbidden = forbidding(random_cost)
    iterations = {"max_iterations": 400, "tolerance": 1e-9} if gradient == "unrolled" else SOLVED
    cost.requires_grad_()
    solution = solve(cost, relaxations, gradient, epsilon=0.3, **iterations)
    assert (solution.coupling[forbidden] == 0).all() and solution.converged.all()
    for b in range(2):
        expected = pots_plan(cost[b].detach(), 0.3, relaxations)
        plan = solution.coupling[b].detach().numpy()
        np.testing.assert_allclose(plan, expected, atol=1e-8)
        linear = float((expected * finite(cost[b].detach())).sum())
        a, c = np.full(9, 1 / 9), np.full(6, 1 / 6)
        value = linear + 0.3 * kl(expected, np.outer(a, c))
        value += 0 if relaxations[0] is None else relaxations[0] * kl(expected.sum(1), a)
        value += 0 if relaxations[1] is None else relaxations[1] * kl(expected.sum(0), c)
        assert solution.linear_cost[b].item() == pytest.approx(linear, abs=1e-7)
        assert solution.regularized_cost[b].item() == pytest.approx(value, abs=1e-7)
    (found,) = torch.autograd.grad(solution.linear_cost.sum(), cost, retain_graph=True)
    assert found.isfinite().all() and (found[forbidden] == 0).all() and found.abs().max() > 0.01
    (found,) = torch.autograd.grad(solution.regularized_cost.sum(), cost)
    torch.testing.assert_close(found, solution.coupling.detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("gradient", "relaxations", "wide"),
    [
        *(("implicit", relaxations, wide) for relaxations in RELAXATIONS for wide in (False, True)),
        ("unrolled", (None, None), False),
        ("unrolled", (0.3, 0.5), True),
    ],
)
def test_gradient_of_allowed_costs_equals_finite_differences(
    random_cost, gradient, relaxations, wide
):
    sizes = (4, 6) if wide else (6, 4)
    forbidden = window(*sizes, 0.3)
    values = random_cost(*sizes)[~forbidden].requires_grad_()
    iterations = {"max_iterations": 60, "tolerance": 1e-9} if gradient == "unrolled" else SOLVED
    settings = {"epsilon": 0.5, **iterations}

    def outputs(values):
        cost = torch.full(sizes, INF, dtype=torch.float64).masked_scatter(~forbidden, values)
        solution = solve(cost[None], relaxations, gradient, **settings)
        plan = solution.coupling
        measures = row_entropy(plan), row_impurity(plan), row_spread(plan)
        return plan, solution.linear_cost, solution.regularized_cost, *measures

    assert torch.autograd.gradcheck(
        outputs, (values,), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True
    )


def test_no_nan_comes_back_through_what_made_a_cost_infinite():
    speech = torch.randn(1, 8, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    text = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(1))
    forbidden = window(8, 4, 0.3)[None]
    cost = cosine_cost(speech, text)
    for gradient in GRADIENTS:
        for barred in (cost.masked_fill(forbidden, INF), torch.where(forbidden, INF, cost)):
            solution = sinkhorn(barred, gradient=gradient)
            value = solution.linear_cost + solution.regularized_cost
            (found,) = torch.autograd.grad(value.sum(), speech, retain_graph=True)
            assert found.isfinite().all() and found.abs().max() > 1e-3
    # An infinity that arithmetic made: a wall that grows where a pair is too far apart.
    gap = torch.rand(1, 8, 4).masked_fill(forbidden, -1.0).requires_grad_()
    wall = torch.where(gap < 0, torch.full_like(gap, INF), gap.clamp(min=0).sqrt())
    sinkhorn(wall, source_relaxation=1.0).regularized_cost.sum().backward()
    assert gap.grad is not None and gap.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [0.1, 0.005, 0.0005])
def test_kernel_domain_equals_log_domain(random_cost, epsilon, dtype):
    cost, forbidden = forbidding(random_cost, sources=20, targets=9, width=0.12, dtype=dtype)
    settings = {"epsilon": epsilon, "max_iterations": 37, "tolerance": 0.0}
    exact = sinkhorn(cost.double(), gradient="unrolled", **settings)
    found = sinkhorn(cost, **settings)
    digits = torch.finfo(dtype).eps * (1000 + 10 / epsilon)
    assert (found.coupling.double() - exact.coupling).abs().sum((1, 2)).max() < digits
    assert (found.coupling[forbidden] == 0).all() and found.linear_cost.isfinite().all()


def test_small_epsilon_comes_to_exact_transport(random_cost):
    cost, forbidden = forbidding(random_cost, batch=1, sources=8, targets=8)
    uniform = np.full(8, 1 / 8)
    exact = ot.emd(uniform, uniform, torch.where(forbidden, LARGE, cost)[0].numpy())
    value = (exact * finite(cost[0])).sum()
    assert exact[forbidden[0]].sum() == 0
    solution = sinkhorn(cost, epsilon=1e-3, max_iterations=20000, tolerance=1e-6, annealing=20)
    assert solution.converged.all()
    np.testing.assert_allclose(solution.coupling[0].numpy(), exact, atol=1e-3)
    assert solution.linear_cost.item() == pytest.approx(value, abs=1e-3)
    # One partner each has the value of exact transport, as without forbidden pairs.
    sparse = sparse_transport(cost, max_nonzeros=1, max_iterations=2000, tolerance=1e-8)
    assert sparse.regularized_cost.item() == pytest.approx(value + 0.05, abs=1e-3)
    assert (sparse.coupling[forbidden] == 0).all()


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("k", [2, 9])
def test_sparse_plans_are_those_of_very_large_costs(random_cost, side, k):
    cost, forbidden = forbidding(random_cost, sources=9, targets=6)
    settings = {"max_nonzeros": k, "sparse_side": side, "max_iterations": 3000, "tolerance": 1e-7}
    cost.requires_grad_()
    solution = sparse_transport(cost, **settings)
    large = sparse_transport(torch.where(forbidden, 1e3, cost.detach()), **settings)
    assert (solution.coupling[forbidden] == 0).all()
    if k > 2:
        assert solution.converged.all()
        torch.testing.assert_close(solution.coupling, large.coupling, rtol=0, atol=1e-5)
    value = solution.regularized_cost
    torch.testing.assert_close(value, large.regularized_cost, rtol=0, atol=1e-5)
    (found,) = torch.autograd.grad(value.sum(), cost, retain_graph=True)
    torch.testing.assert_close(found, solution.coupling)
    (found,) = torch.autograd.grad(row_entropy(solution.coupling).sum(), cost)
    assert found.isfinite().all() and (found[forbidden] == 0).all()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_batch_mates_and_padding_never_matter(random_cost, gradient):
    cost = torch.full((3, 9, 6), torch.nan, dtype=torch.float64)
    cost[0] = random_cost(9, 6, seed=3)
    cost[1], cost[2, :6, :4] = (
        forbidding(random_cost, 1, *sizes, width=0.3)[0][0] for sizes in ((9, 6), (6, 4))
    )
    source = torch.arange(9) < torch.tensor([9, 9, 6])[:, None]
    target = torch.arange(6) < torch.tensor([6, 6, 4])[:, None]
    solution = sinkhorn(cost.clone().requires_grad_(), source, target, gradient=gradient)
    for b, (s, t) in enumerate(((9, 6), (9, 6), (6, 4))):
        alone = sinkhorn(cost[b : b + 1, :s, :t], gradient=gradient)
        torch.testing.assert_close(solution.coupling[b, :s, :t], alone.coupling[0])
        torch.testing.assert_close(solution.linear_cost[b], alone.linear_cost[0])
        assert solution.iterations[b] == alone.iterations[0] and solution.converged[b]
        assert (solution.coupling[b, s:] == 0).all() and (solution.coupling[b, :, t:] == 0).all()


def test_divergence_with_a_window_equals_pots():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(1, n, 3, generator=generator, dtype=torch.float64) for n in (7, 5))
    settings = {"epsilon": 0.5, "max_iterations": 3000, "tolerance": 1e-11}

    def entropic(u, v):
        cost = windowed(0.3)(u, v)[0]
        plan = pots_plan(cost, 0.5)
        reference = np.full(cost.shape, 1 / cost.numel())
        return (plan * finite(cost)).sum() + 0.5 * kl(plan, reference)

    expected = entropic(x, y) - entropic(x, x) / 2 - entropic(y, y) / 2
    found = sinkhorn_divergence(x, y, cost=windowed(0.3), **settings)
    assert found.item() == pytest.approx(expected, abs=1e-7)
    assert sinkhorn_divergence(x, x, cost=windowed(0.3)).abs().item() < 1e-9
    x.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: sinkhorn_divergence(x, y, cost=windowed(0.3), **settings), (x,),
        eps=1e-5, atol=1e-6, fast_mode=True,
    )  # fmt: skip


def test_monge_gap_with_a_window(random_cost):
    points = torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(0)).double()
    images = -points
    cost = windowed(0.3)(points, images)[0]
    settings = {"epsilon": 2.0, "max_iterations": 5000, "tolerance": 1e-10}
    plan = pots_plan(cost, 2.0)
    reference = np.full((8, 8), 1 / 64)
    value = (plan * finite(cost)).sum() + 2 * kl(plan, reference)
    # Debiased, epsilon H(a) is left out; KL(P | a a^T) = 2 H(a) - H(P).
    expected = cost.diagonal().mean().item() - value + 2 * np.log(8)
    found = monge_gap(points, images, cost=windowed(0.3), **settings)
    assert found.item() == pytest.approx(expected, abs=1e-7)
    images.requires_grad_()
    (slope,) = torch.autograd.grad(monge_gap(points, images, cost=windowed(0.3)).sum(), images)
    assert slope.isfinite().all() and slope.abs().max() > 0.01

    def not_itself(x, y):
        return torch.where(torch.eye(8).bool(), INF, squared_euclidean_cost(x, y))

    assert monge_gap(points, images, cost=not_itself).item() == INF  # the map takes such pairs


def test_gradient_where_forbidden_pairs_make_many_blocks(random_cost):
    cost = random_cost(1, 24, 16).requires_grad_()
    blocks = torch.block_diag(*[torch.ones(3, 2)] * 8).bool()
    barred = torch.where(blocks, cost, INF)
    solution = sinkhorn(barred, **SOLVED)
    (found,) = torch.autograd.grad(row_entropy(solution.coupling).sum(), cost)
    together = torch.stack(
        [cost.detach()[0, 3 * i : 3 * i + 3, 2 * i : 2 * i + 2] for i in range(8)]
    ).requires_grad_()
    alone = sinkhorn(together, **SOLVED)
    (expected,) = torch.autograd.grad(row_entropy(alone.coupling).sum(), together)
    for i in range(8):
        own = found[0, 3 * i : 3 * i + 3, 2 * i : 2 * i + 2]
        torch.testing.assert_close(own, expected[i], rtol=1e-6, atol=1e-9)


def test_alignments_go_around_forbidden_pairs():
    forbidden = window(6, 3, 0.3)
    cost = torch.where(forbidden, INF, torch.zeros(6, 3))[None]
    plan = sinkhorn(cost, epsilon=0.5).coupling
    real = torch.ones(1, 6).bool()
    path = monotonic_alignment(plan, real, real[:, :3])
    assert not forbidden[torch.arange(6), path[0]].any()
    assert not forbidden[torch.arange(6), hard_alignment(plan)[0]].any()
    # However unlikely the way around is: ten tiny numbers rather than one zero.
    plan = torch.full((1, 12, 2), 1e-30)
    plan[0, :6, 0], plan[0, 1:, 1], plan[0, 6, 0] = 1, 1, 0
    plan[0, 1:5, 1] = 0
    real = torch.ones(1, 12).bool()
    plan[0, 5, 1] = 1e-30
    plan[0, 5, 0] = 0
    assert monotonic_alignment(plan, real, real[:, :2])[0].tolist() == [0] * 5 + [1] * 7
    assert hard_alignment(torch.zeros(1, 2, 2)).tolist() == [[-1, -1]]
