"""Sinkhorn: precision, determinism, broken numbers and refused arguments."""

import pytest
import torch

from espnet_otreg.ot import sinkhorn


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
    with pytest.raises(AttributeError):
        solution.coupling = None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"source_relaxation": 0.0}, "relaxation"),
        ({"annealing": 50}, "annealing"),
        ({"warm_start": (torch.zeros(1, 2), torch.zeros(1, 3))}, "warm_start"),
        ({"gradient": "implict"}, "gradient"),
        ({"source_mask": torch.ones(1, 3).bool()}, "source_mask"),
        ({"target_mask": torch.ones(1, 2)}, "target_mask: expected bool"),
        ({"target_mass": torch.tensor([[1.5, -0.5]])}, "target_mass: masses"),
        ({"target_mass": torch.tensor([[torch.nan, 1.0]])}, "target_mass: masses"),
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
    with pytest.raises(ValueError, match="cost"):
        sinkhorn(torch.ones(2, 2))


def test_unequal_totals_are_fine_if_a_marginal_is_relaxed(random_cost):
    mass = torch.full((1, 4), 0.5)
    settings = {"target_mass": mass, "source_relaxation": 1.0, "max_iterations": 500}
    solution = sinkhorn(random_cost(1, 3, 4), **settings)
    assert solution.converged.all() and 1 < solution.coupling.sum() <= 2.0001
