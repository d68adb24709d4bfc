"""Sinkhorn: POT as oracle, marginals, masks, batching, limits, edges."""

import numpy as np
import ot
import pytest
import torch

from espnet_otreg.ot import sinkhorn

LENGTHS = [(9, 4), (6, 6), (3, 5), (1, 4), (7, 1), (1, 1)]


def ragged(random_cost, seed=0, dtype=torch.float64):
    """A padded batch of the problems of ``LENGTHS``; padding holds NaN."""
    size_s, size_t = max(s for s, _ in LENGTHS), max(t for _, t in LENGTHS)
    cost = torch.full((len(LENGTHS), size_s, size_t), torch.nan, dtype=dtype)
    source, target = (
        torch.zeros(len(LENGTHS), size_s).bool(),
        torch.zeros(len(LENGTHS), size_t).bool(),
    )
    for b, (s, t) in enumerate(LENGTHS):
        cost[b, :s, :t] = random_cost(s, t, seed=seed + b, dtype=dtype)
        source[b, :s], target[b, :t] = True, True
    return cost, source, target


def numpy_problem(cost, seed=0):
    """Random positive masses for a cost (S, T), and the cost, as NumPy arrays."""
    generator = np.random.default_rng(seed)
    a, b = generator.random(cost.shape[0]) + 0.1, generator.random(cost.shape[1]) + 0.1
    return a / a.sum(), b / b.sum(), cost.numpy()


@pytest.mark.parametrize("epsilon", [0.5, 0.1, 0.05, 0.02])
def test_plan_equals_pot_log_sinkhorn(random_cost, epsilon):
    cost = random_cost(12, 7)
    a, b, matrix = numpy_problem(cost)
    expected = ot.sinkhorn(
        a, b, matrix, epsilon, method="sinkhorn_log", numItermax=20000, stopThr=1e-12
    )
    solution = sinkhorn(
        cost[None],
        source_mass=torch.tensor(a)[None],
        target_mass=torch.tensor(b)[None],
        epsilon=epsilon,
        max_iterations=20000,
        tolerance=1e-10,
    )
    np.testing.assert_allclose(solution.coupling[0].numpy(), expected, atol=1e-9)
    assert solution.converged.all()


def test_batch_equals_pot_batch_after_the_same_iterations(random_cost):
    cost = random_cost(4, 20, 9)
    result = ot.batch.solve_batch(cost, 0.1, max_iter=500, tol=1e-12, method="log_sinkhorn")
    solution = sinkhorn(cost, max_iterations=500, tolerance=1e-12)
    torch.testing.assert_close(solution.coupling, result.plan, rtol=0, atol=1e-10)
    # POT's value holds the entropy of P, ours KL(P | a b^T): log(20 * 9) lies between for
    # uniform masses, so only the linear part is compared with POT.
    kl = (solution.coupling * solution.coupling.log()).sum((1, 2)) + np.log(20 * 9)
    torch.testing.assert_close(solution.linear_cost, result.value_linear, rtol=0, atol=1e-9)
    torch.testing.assert_close(solution.regularized_cost, solution.linear_cost + 0.1 * kl)


@pytest.mark.parametrize(
    "relaxations", [(0.5, 0.5), (0.05, 0.05), (0.3, None), (None, 0.3), (2, 0.1)]
)
def test_relaxed_plan_equals_pot_unbalanced(random_cost, relaxations):
    cost = random_cost(10, 6)
    a, b, matrix = numpy_problem(cost)
    b = 1.3 * b  # totals need not agree
    strengths = tuple(np.inf if rho is None else rho for rho in relaxations)
    expected = ot.unbalanced.sinkhorn_unbalanced(
        a, b, matrix, 0.1, strengths, reg_type="kl", numItermax=50000, stopThr=1e-14
    )
    solution = sinkhorn(
        cost[None],
        source_mass=torch.tensor(a)[None],
        target_mass=torch.tensor(b)[None],
        max_iterations=50000,
        tolerance=1e-11,
        source_relaxation=relaxations[0],
        target_relaxation=relaxations[1],
    )
    np.testing.assert_allclose(solution.coupling[0].numpy(), expected, atol=1e-8)


def objective(plan, cost, a, b, epsilon, rho_source, rho_target):
    """What ``sinkhorn`` says it minimises, written down once more in NumPy."""

    def kl(p, q):
        return float(np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0) - p + q))

    value = float((plan * cost).sum()) + epsilon * kl(plan, np.outer(a, b))
    value += rho_source * kl(plan.sum(1), a) if rho_source else 0
    return value + (rho_target * kl(plan.sum(0), b) if rho_target else 0)


@pytest.mark.parametrize("relaxations", [(None, None), (0.4, None), (None, 0.4), (0.4, 0.2)])
def test_regularized_cost_is_the_minimum_of_the_objective(random_cost, relaxations):
    cost = random_cost(8, 5)
    a, b, matrix = numpy_problem(cost)
    solution = sinkhorn(
        cost[None],
        source_mass=torch.tensor(a)[None],
        target_mass=torch.tensor(b)[None],
        max_iterations=20000,
        tolerance=1e-13,
        source_relaxation=relaxations[0],
        target_relaxation=relaxations[1],
    )
    plan, value = solution.coupling[0].numpy(), solution.regularized_cost.item()
    arguments = (matrix, a, b, 0.1, *relaxations)
    np.testing.assert_allclose(value, objective(plan, *arguments), rtol=1e-10)
    # A move along a cycle keeps both marginals; none may lower the objective.
    for size in (1e-3, -1e-3):
        moved = plan.copy()
        moved[:2, :2] += size * min(plan[:2, :2].min(), 1) * np.array([[1, -1], [-1, 1]])
        assert objective(moved, *arguments) >= value - 1e-12


def test_potentials_make_the_plan_and_the_dual_value(random_cost):
    cost = random_cost(2, 8, 5)
    solution = sinkhorn(cost, max_iterations=5000, tolerance=1e-13)
    f, g = solution.potentials
    plan = torch.exp((f[:, :, None] + g[:, None, :] - cost) / 0.1) / 40
    torch.testing.assert_close(plan, solution.coupling)
    torch.testing.assert_close(f.mean(1) + g.mean(1), solution.regularized_cost)


@pytest.mark.parametrize("gradient", ["implicit", "unrolled", "envelope"])
def test_final_target_marginal_is_exact_however_few_the_iterations(random_cost, gradient):
    cost, source, target = ragged(random_cost)
    for iterations in (1, 2, 5):
        solution = sinkhorn(
            cost, source, target, max_iterations=iterations, tolerance=0.0, gradient=gradient
        )
        columns = target.double() / target.sum(1, keepdim=True)
        torch.testing.assert_close(solution.coupling.sum(1), columns, rtol=0, atol=1e-14)


def test_residual_is_the_error_of_the_source_marginal(random_cost):
    cost, source, target = ragged(random_cost)
    for iterations in (1, 3, 40):
        solution = sinkhorn(cost, source, target, max_iterations=iterations, tolerance=1e-4)
        rows = source.double() / source.sum(1, keepdim=True)
        error = (solution.coupling.sum(2) - rows).abs().sum(1)
        torch.testing.assert_close(solution.residual, error, rtol=0, atol=1e-13)
        assert (solution.converged == (error <= 1e-4)).all()


def test_a_problem_stops_by_itself_and_its_batch_mates_never_matter(random_cost):
    cost = torch.cat([random_cost(1, 9, 4), 20 * random_cost(1, 9, 4, seed=1)])
    both = sinkhorn(cost, max_iterations=200, tolerance=1e-3)
    assert both.iterations[0] < both.iterations[1]
    for b in range(2):
        alone = sinkhorn(cost[b : b + 1], max_iterations=200, tolerance=1e-3)
        assert alone.iterations[0] == both.iterations[b]
        torch.testing.assert_close(alone.coupling[0], both.coupling[b], rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("relaxation", [None, 0.5])
def test_padded_batch_equals_trimmed_problems(random_cost, dtype, relaxation):
    cost, source, target = ragged(random_cost, dtype=dtype)
    cost.requires_grad_()
    settings = {"source_relaxation": relaxation}
    batch = sinkhorn(cost, source, target, **settings)
    weights = random_cost(*cost.shape, seed=99, dtype=dtype)
    (batch.coupling * weights).sum().backward()
    assert cost.grad is not None
    for b, (s, t) in enumerate(LENGTHS):
        trimmed = cost[b : b + 1, :s, :t].detach().requires_grad_()
        alone = sinkhorn(trimmed, **settings)
        (alone.coupling * weights[b, :s, :t]).sum().backward()
        exactness = (
            {"rtol": 1e-5, "atol": 1e-7}
            if dtype == torch.float32
            else {"rtol": 1e-9, "atol": 1e-11}
        )
        torch.testing.assert_close(batch.coupling[b, :s, :t], alone.coupling[0], **exactness)
        torch.testing.assert_close(cost.grad[b, :s, :t], trimmed.grad[0], **exactness)
        for name in ("linear_cost", "regularized_cost", "residual", "iterations"):
            torch.testing.assert_close(
                getattr(batch, name)[b], getattr(alone, name)[0], rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("gradient", ["implicit", "unrolled", "envelope"])
def test_padding_is_exactly_zero_with_zero_gradient_even_if_it_holds_nan(random_cost, gradient):
    cost, source, target = ragged(random_cost)
    cost.requires_grad_()
    solution = sinkhorn(cost, source, target, gradient=gradient)
    pair = source[:, :, None] & target[:, None, :]
    assert (solution.coupling[~pair] == 0).all() and (solution.coupling[pair] > 0).all()
    f, g = solution.potentials
    assert (f[~source] == 0).all() and (g[~target] == 0).all()
    solution.regularized_cost.sum().backward()
    assert cost.grad is not None and cost.grad.isfinite().all()
    assert (cost.grad[~pair] == 0).all() and (cost.grad[0, :9, :4] != 0).all()


def test_permutations_carry_over(random_cost):
    cost = random_cost(1, 9, 4)
    rows, columns = torch.randperm(9), torch.randperm(4)
    permuted = sinkhorn(cost[:, rows][:, :, columns]).coupling
    torch.testing.assert_close(permuted, sinkhorn(cost).coupling[:, rows][:, :, columns])


def test_cost_lies_between_exact_transport_and_the_product_coupling(random_cost):
    cost = random_cost(1, 15, 6)
    uniform = np.full(15, 1 / 15), np.full(6, 1 / 6)
    exact = ot.emd2(*uniform, cost[0].numpy())
    values = [
        sinkhorn(cost, epsilon=epsilon, max_iterations=20000, tolerance=1e-9).linear_cost.item()
        for epsilon in (0.01, 0.1, 1.0)
    ]
    assert exact <= values[0] <= values[1] <= values[2] <= cost.mean().item()


def test_large_epsilon_gives_the_product_coupling(random_cost):
    cost = random_cost(1, 6, 5)
    solution = sinkhorn(cost, epsilon=1e6)
    torch.testing.assert_close(solution.coupling, torch.full_like(cost, 1 / 30), rtol=1e-5, atol=0)


def test_small_epsilon_gives_exact_transport(random_cost):
    cost = random_cost(1, 8, 8)
    exact = ot.emd2(np.full(8, 1 / 8), np.full(8, 1 / 8), cost[0].numpy())
    solution = sinkhorn(cost, epsilon=2e-3, max_iterations=10000, tolerance=1e-4)
    assert solution.linear_cost.item() == pytest.approx(exact, abs=1e-3)


def test_a_free_text_marginal_gives_softmax_attention(random_cost):
    # rho -> 0 for the target and an exact source marginal is attention; the roles are exchanged
    # here because the last update, the target's, is the exact one.
    cost = random_cost(2, 5, 7)
    solution = sinkhorn(cost, source_relaxation=1e-12, max_iterations=100, tolerance=1e-12)
    attention = torch.softmax(-cost / 0.1, dim=1) / 7
    torch.testing.assert_close(solution.coupling, attention)


def test_strong_relaxation_gives_the_exact_marginal(random_cost):
    cost = random_cost(1, 9, 4)
    exact = sinkhorn(cost, max_iterations=5000, tolerance=1e-12).coupling
    relaxed = sinkhorn(cost, max_iterations=5000, tolerance=1e-12, source_relaxation=1e7).coupling
    torch.testing.assert_close(relaxed, exact, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("gradient", ["implicit", "unrolled", "envelope"])
@pytest.mark.parametrize("relaxation", [None, 0.3])
def test_problems_with_an_empty_side_return_zeros(random_cost, gradient, relaxation):
    cost = random_cost(4, 3, 2).requires_grad_()
    source = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 1, 0], [0, 0, 0]]).bool()
    target = torch.tensor([[1, 1], [1, 1], [0, 0], [0, 0]]).bool()
    solution = sinkhorn(cost, source, target, gradient=gradient, source_relaxation=relaxation)
    for name in ("coupling", "linear_cost", "regularized_cost", "residual"):
        assert (getattr(solution, name)[1:] == 0).all(), name
    assert solution.converged.all() and solution.linear_cost[0] > 0
    solution.regularized_cost.sum().backward()
    assert cost.grad is not None and cost.grad.isfinite().all() and (cost.grad[1:] == 0).all()


def test_sides_of_size_zero_return_zeros():
    for shape in ((2, 0, 3), (2, 3, 0), (0, 3, 3)):
        assert sinkhorn(torch.zeros(shape)).linear_cost.tolist() == [0.0] * shape[0]


def test_entries_without_mass_are_absent(random_cost):
    cost = random_cost(1, 5, 4)
    mass = torch.tensor([[0.5, 0.0, 0.5, 0.0]])
    solution = sinkhorn(cost, target_mass=mass, max_iterations=500, tolerance=1e-10)
    alone = sinkhorn(cost[:, :, [0, 2]], max_iterations=500, tolerance=1e-10)
    torch.testing.assert_close(solution.coupling[:, :, [0, 2]], alone.coupling)
    assert (solution.coupling[:, :, [1, 3]] == 0).all()


def test_works_in_float32_under_autocast(random_cost):
    cost = random_cost(3, 30, 10, dtype=torch.float32)
    plain = sinkhorn(cost)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = sinkhorn(cost)
        low = sinkhorn(cost.bfloat16())
    assert half.coupling.dtype == low.coupling.dtype == torch.float32
    assert torch.equal(plain.coupling, half.coupling)
    assert sinkhorn(cost.double()).coupling.dtype == torch.float64
