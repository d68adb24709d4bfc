"""Sinkhorn: precision, determinism, broken numbers and refused arguments."""

import dataclasses

import pytest
import torch

from espnet_otreg.ot import monge_gap, sinkhorn, sinkhorn_divergence, sparse_transport


@pytest.mark.parametrize(("epsilon", "factor"), [(0.1, 1), (0.02, 1), (0.002, 1), (0.1, 20)])
def test_float32_follows_float64(random_cost, epsilon, factor):
    cost = factor * random_cost(4, 60, 20, dtype=torch.float32)
    low = sinkhorn(cost, epsilon=epsilon, max_iterations=100, tolerance=0.0)
    high = sinkhorn(cost.double(), epsilon=epsilon, max_iterations=100, tolerance=0.0)
    assert (low.coupling - high.coupling).abs().sum((1, 2)).max() < 2e-4


@pytest.mark.parametrize("epsilon", [0.1, 0.02, 0.002])
@pytest.mark.parametrize("relaxation", [None, 0.3])
def test_kernel_domain_equals_log_domain(random_cost, epsilon, relaxation):
    # The log domain is what "unrolled" takes; both make the same iterations.
    cost = torch.cat([random_cost(2, 30, 12), 20 * random_cost(1, 30, 12, seed=1)])
    for iterations in (1, 4, 5, 33):
        settings = {"epsilon": epsilon, "max_iterations": iterations, "tolerance": 0.0}
        found = [
            sinkhorn(cost, gradient=gradient, source_relaxation=relaxation, **settings)
            for gradient in ("envelope", "unrolled")
        ]
        torch.testing.assert_close(found[0].coupling, found[1].coupling, rtol=0, atol=1e-9)
        torch.testing.assert_close(found[0].residual, found[1].residual, rtol=1e-6, atol=1e-9)
        assert found[0].iterations.tolist() == [iterations] * 3


def test_annealing_and_a_warm_start_lead_to_the_same_plan_sooner(random_cost):
    cost = random_cost(3, 20, 9)
    settings = {"epsilon": 0.01, "max_iterations": 20000, "tolerance": 1e-8}
    cold = sinkhorn(cost, **settings)
    assert cold.converged.all()
    warm = sinkhorn(cost, warm_start=cold.potentials, **settings)
    assert (warm.iterations <= 5).all()
    annealed = sinkhorn(cost, annealing=10, **settings)
    for other in (warm, annealed):
        torch.testing.assert_close(other.coupling, cold.coupling, rtol=0, atol=1e-7)
    # Far from convergence annealing is ahead.
    few = {"epsilon": 0.002, "max_iterations": 40, "tolerance": 0.0}
    ahead = sinkhorn(cost, annealing=20, **few)
    assert ahead.residual.mean() < sinkhorn(cost, **few).residual.mean()
    assert (ahead.iterations == 40).all()
    empty = sinkhorn(cost[:, :0], annealing=3)
    assert empty.coupling.shape == (3, 0, 9)


def test_is_deterministic_and_draws_no_random_number(random_cost):
    cost = random_cost(2, 5, 4)
    state = torch.get_rng_state()
    first = sinkhorn(cost).coupling
    assert torch.equal(first, sinkhorn(cost).coupling)
    assert torch.equal(state, torch.get_rng_state())


def test_solution_is_frozen(random_cost):
    solution = sinkhorn(random_cost(1, 2, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        solution.coupling = None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"epsilon": float("inf")}, "epsilon"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"epsilon": None}, "epsilon: expected float, found None"),
        ({"epsilon": "0.1"}, "epsilon"),
        ({"epsilon": 1e-39}, "cost: 1 divided by 1e-39 is too large for float32"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"max_iterations": -3}, "max_iterations: expected at least 1, found -3"),
        ({"max_iterations": 2.5}, "max_iterations"),
        ({"max_iterations": None}, "max_iterations"),
        ({"annealing": -1}, "annealing"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"source_relaxation": float("nan")}, "relaxation"),
        ({"target_relaxation": "weak"}, "relaxation"),
        ({"warm_start": (torch.zeros(1, 2), torch.tensor([[0.0, torch.nan]]))}, "warm_start"),
        ({"source_mask": [[True, True]]}, "source_mask: expected"),
        ({"source_relaxation": 0.0}, "relaxation"),
        ({"annealing": 50}, "annealing"),
        ({"warm_start": (torch.zeros(1, 2), torch.zeros(1, 3))}, "warm_start"),
        ({"gradient": "implict"}, "gradient"),
        ({"source_mask": torch.ones(1, 3).bool()}, "source_mask"),
        ({"target_mask": torch.ones(1, 2)}, "target_mask: expected bool"),
        ({"target_mass": torch.tensor([[1.5, -0.5]])}, "target_mass: masses"),
        ({"target_mass": torch.tensor([[torch.nan, 1.0]])}, "target_mass: masses"),
        ({"source_mass": torch.tensor([[torch.inf, 1.0]])}, "source_mass: masses"),
        ({"source_mass": torch.zeros(1, 2)}, "unequal totals in problem 0"),
        ({"target_mass": torch.tensor([[0.5, 0.6]])}, "unequal totals in problem 0"),
        (
            {"target_mass": torch.tensor([[0.5, 0.5]]).requires_grad_(), "gradient": "envelope"},
            "masses",
        ),
    ],
)
def test_rejects_what_it_cannot_solve(arguments, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn(torch.ones(1, 2, 2), **arguments)
    for cost in (torch.ones(2, 2), [[[1.0]]], None, torch.ones(1, 2, 2) * 1j):
        with pytest.raises(ValueError, match="cost: expected"):
            sinkhorn(cost)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"epsilon": None}, "epsilon"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"max_iterations": -1}, "max_iterations"),
        ({"tolerance": float("nan")}, "tolerance"),
    ],
)
def test_all_solvers_refuse_the_same_numbers(settings, message):
    x = torch.rand(1, 3, 2)
    for solver in (sinkhorn_divergence, monge_gap):
        with pytest.raises(ValueError, match=message):
            solver(x, x, **settings)
    named = {"gamma" if key == "epsilon" else key: value for key, value in settings.items()}
    with pytest.raises(ValueError, match=message.replace("epsilon", "gamma")):
        sparse_transport(x, **named)
    with pytest.raises(ValueError, match="annealing"):
        sinkhorn_divergence(x, x, annealing=100)
    with pytest.raises(ValueError, match="max_nonzeros"):
        sparse_transport(x, max_nonzeros=1.5)
    with pytest.raises(ValueError, match="sparse_side"):
        sparse_transport(x, sparse_side="row")


def plan_error(solution):
    """The larger L1 error of the marginals of uniform problems, found in float64."""
    plan = solution.coupling.detach().double()
    return max((plan.sum(dim) - 1 / plan.shape[3 - dim]).abs().sum(1).max() for dim in (1, 2))


EPSILONS = [0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-9]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gradient", ["implicit", "unrolled"])
def test_target_marginals_are_met_to_the_rounding_of_the_exponents(random_cost, gradient, dtype):
    cost = 1.5 * random_cost(4, 40, 15, dtype=dtype)
    for epsilon in EPSILONS[:7]:
        solution = sinkhorn(cost, epsilon=epsilon, gradient=gradient, max_iterations=12)
        columns = solution.coupling.double().sum(1)
        error = (columns - 1 / 15).abs().sum(1).max()
        exponent = cost.max().item() / epsilon
        assert error < (2 + exponent / 4) * torch.finfo(dtype).eps
        if dtype == torch.float32 and epsilon != 1e-5:  # where it passes the default tolerance
            assert (error < 1e-3) == (epsilon > 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1.0, 1e8])
def test_converged_is_true_of_the_plan_itself(random_cost, dtype, scale):
    # Costs that make a permutation obvious, so that a few iterations seem to be enough.
    obvious = torch.eye(9)[[3, 1, 4, 0, 5, 8, 2, 6, 7]]
    cost = scale * (random_cost(3, 9, 9, dtype=torch.float32) - obvious / 2)
    cost = cost.clamp(-6e4, 6e4).to(dtype) if dtype == torch.float16 else cost.to(dtype)
    for epsilon in EPSILONS[::2]:
        for gradient in ("implicit", "unrolled"):
            solution = sinkhorn(cost, epsilon=epsilon, gradient=gradient, annealing=20)
            if solution.converged.all():
                assert plan_error(solution) <= 1e-3 * 1.001
            assert (solution.converged == (solution.residual <= 1e-3)).all()
        sparse = sparse_transport(cost, gamma=epsilon, max_iterations=20)
        if sparse.converged.all():
            assert plan_error(sparse) <= 1e-3 * 1.001


def test_converged_is_false_where_rounding_has_moved_the_marginals():
    cost = 1e8 + 1e3 * torch.rand(2, 6, 4, generator=torch.Generator().manual_seed(0))
    for epsilon in (0.1, 1.0, 30.0):
        solution = sinkhorn(cost, epsilon=epsilon, max_iterations=50)
        assert plan_error(solution) > 0.01  # float32 has steps of 8 at such costs
        assert not solution.converged.any()


def test_unequal_totals_are_fine_if_a_marginal_is_relaxed(random_cost):
    mass = torch.full((1, 4), 0.5)
    settings = {"target_mass": mass, "source_relaxation": 1.0, "max_iterations": 500}
    solution = sinkhorn(random_cost(1, 3, 4), **settings)
    assert solution.converged.all() and 1 < solution.coupling.sum() <= 2.0001
