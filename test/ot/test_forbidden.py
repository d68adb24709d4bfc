"""Forbidden pairs: costs of +inf in every solver. POT, linear programs and finite differences."""

import numpy as np
import ot
import pytest
import torch
from scipy.optimize import linprog

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
    """POT's plan of a cost (S, T) with uniform masses, a large cost standing for an infinite one."""
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


@pytest.mark.parametrize("seed", range(12))
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


def windowed(width):
    def cost(x, y):
        near = window(x.shape[1], y.shape[1], width)
        return torch.where(near, INF, squared_euclidean_cost(x, y))

    return cost


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
