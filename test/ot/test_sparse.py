"""Sparsity-constrained transport: POT as oracle, exact sparsity, limits, gradients."""

import numpy as np
import ot
import pytest
import torch

from espnet_otreg.ot import sparse_transport

CONVERGED = {"max_iterations": 2000, "tolerance": 1e-8}


def pot_plan(cost, gamma, k=None):
    """POT's plan for uniform masses; its sparse side is the target, its gamma is per mass."""
    a, b = (np.full(n, 1 / n) for n in cost.shape)
    kind = {"reg_type": "l2"} if k is None else {"reg_type": "sparsity_constrained", "max_nz": k}
    return ot.smooth.smooth_ot_semi_dual(
        a, b, cost.numpy(), gamma * cost.shape[1], stopThr=1e-12, numItermax=5000, **kind
    )


@pytest.mark.parametrize("k", [4, 6])
def test_plan_equals_pot_where_k_is_large_enough(random_cost, k, capsys):
    cost = random_cost(6, 9)
    expected = pot_plan(cost, 0.2, k)
    capsys.readouterr()  # POT prints the shape of an index array on every call
    settings = {"gamma": 0.2, "max_nonzeros": k, "sparse_side": "target", **CONVERGED}
    solution = sparse_transport(cost[None], **settings)
    np.testing.assert_allclose(solution.coupling[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("side", ["source", "target"])
def test_large_k_is_quadratic_transport(random_cost, side):
    cost = random_cost(7, 5)
    solution = sparse_transport(cost[None], max_nonzeros=99, sparse_side=side, **CONVERGED)
    transposed = pot_plan(cost.mT, 0.1).T if side == "source" else pot_plan(cost, 0.1)
    np.testing.assert_allclose(solution.coupling[0].numpy(), transposed, atol=1e-5)
    assert solution.converged.all()
    count = cost.shape[0 if side == "source" else 1]
    primal = solution.linear_cost + 0.05 * count * solution.coupling.square().sum()
    torch.testing.assert_close(solution.regularized_cost, primal, rtol=0, atol=1e-7)


@pytest.mark.parametrize("seed", range(10))
def test_one_partner_each_has_the_value_of_exact_transport(random_cost, seed):
    cost = random_cost(12, 5, seed=seed)
    solution = sparse_transport(cost[None], max_nonzeros=1, **CONVERGED)
    a, b = np.full(12, 1 / 12), np.full(5, 1 / 5)
    expected = ot.emd2(a, b, cost.numpy()) + 0.05
    assert solution.regularized_cost.item() == pytest.approx(expected, abs=1e-3)
    assert solution.regularized_cost.item() <= expected + 1e-9  # weak duality


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_rows_are_sparse_and_have_their_mass_exactly(random_cost, k, side):
    cost = random_cost(3, 15, 8, dtype=torch.float32)
    solution = sparse_transport(cost, max_nonzeros=k, sparse_side=side)
    coupling = solution.coupling if side == "source" else solution.coupling.mT
    assert ((coupling > 0).sum(2) <= k).all()
    torch.testing.assert_close(
        coupling.sum(2), torch.full_like(coupling[:, :, 0], 1 / len(coupling[0]))
    )
    error = (coupling.sum(1) - 1 / coupling.shape[2]).abs().sum(1)
    torch.testing.assert_close(solution.residual, error)


def test_the_dual_value_falls_with_k_and_so_does_the_violation(random_cost):
    cost = random_cost(1, 12, 7)
    found = [sparse_transport(cost, max_nonzeros=k, **CONVERGED) for k in range(1, 8)]
    values = [solution.regularized_cost.item() for solution in found]
    assert all(one >= next_ - 1e-7 for one, next_ in zip(values, values[1:], strict=False))
    assert values[0] > values[-1] + 1e-3
    assert found[0].residual.item() > 1e-3 and found[-1].residual.item() < 1e-6


def test_padding_and_batch_mates_never_matter(random_cost):
    cost = torch.full((2, 9, 6), torch.nan, dtype=torch.float64)
    cost[0], cost[1, :4, :3] = random_cost(9, 6), random_cost(4, 3, seed=1)
    source, target = torch.ones(2, 9).bool(), torch.ones(2, 6).bool()
    source[1, 4:], target[1, 3:] = False, False
    both = sparse_transport(cost, source, target)
    alone = sparse_transport(cost[1:, :4, :3])
    torch.testing.assert_close(both.coupling[1, :4, :3], alone.coupling[0], rtol=0, atol=1e-12)
    assert both.coupling[1, 4:].eq(0).all() and both.coupling[1, :, 3:].eq(0).all()
    assert both.iterations[1] == alone.iterations[0]


def test_gradients(random_cost):
    cost = random_cost(2, 7, 5).requires_grad_()
    solution = sparse_transport(cost, max_nonzeros=5, **CONVERGED)
    (gradient,) = torch.autograd.grad(solution.regularized_cost.sum(), cost, retain_graph=True)
    torch.testing.assert_close(gradient, solution.coupling)
    weights = random_cost(2, 7, 5, seed=3)
    (through,) = torch.autograd.grad((solution.coupling * weights).sum(), cost)
    # At fixed potentials a row moves against the deviation of its weights from their mean.
    support = solution.coupling > 0
    mean = (weights * support).sum(2, keepdim=True) / support.sum(2, keepdim=True)
    expected = torch.where(support, mean - weights, 0) / 7 / 0.1
    torch.testing.assert_close(through, expected)


def test_value_gradient_equals_finite_differences(random_cost):
    cost = random_cost(1, 5, 4).requires_grad_()

    def value(cost):
        return sparse_transport(cost, max_nonzeros=4, **CONVERGED).regularized_cost

    assert torch.autograd.gradcheck(value, (cost,), eps=1e-5, atol=1e-5)


def test_empty_sides_and_refused_numbers(random_cost):
    empty = sparse_transport(random_cost(1, 3, 2), source_mask=torch.zeros(1, 3).bool())
    assert empty.coupling.eq(0).all() and empty.regularized_cost.item() == 0
    for shape in ((2, 0, 3), (2, 3, 0), (0, 3, 3)):
        assert sparse_transport(torch.zeros(shape)).linear_cost.tolist() == [0.0] * shape[0]
    for settings, message in (({"gamma": 0.0}, "gamma"), ({"max_nonzeros": 0}, "max_nonzeros")):
        with pytest.raises(ValueError, match=message):
            sparse_transport(random_cost(1, 3, 2), **settings)
