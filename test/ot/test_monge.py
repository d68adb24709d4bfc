"""Monge gap: exact transport (POT) as oracle, signs, optimal maps."""

import numpy as np
import ot
import pytest
import torch

from espnet_otreg.ot import monge_gap


def points(n=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 3, generator=generator, dtype=torch.float64)


def exact_gap(x, y):
    """``E[c(x, T(x))] - W(x, T(x))`` without entropy."""
    cost = ot.dist(x.numpy(), y.numpy()) / 2
    weights = np.full(len(x), 1 / len(x))
    return np.diag(cost).mean() - ot.emd2(weights, weights, cost)


ROTATION = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
STRETCH = torch.tensor([[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 0.5]], dtype=torch.float64)
MAPS = {
    "translation": lambda x: x + 5,
    "positive definite": lambda x: x @ STRETCH,
    "rotation": lambda x: x @ ROTATION,
    "reflection": lambda x: -x,
}


@pytest.mark.parametrize("name", MAPS)
def test_comes_near_the_exact_gap_as_epsilon_falls(name):
    x = points()
    y = MAPS[name](x)
    exact = exact_gap(x[0], y[0])
    if name in ("translation", "positive definite"):
        assert abs(exact) < 1e-9  # these maps are optimal
    gaps = [monge_gap(x, y, epsilon=e, max_iterations=3000, tolerance=1e-6)[0].item()
            for e in (0.5, 0.1, 0.02)]  # fmt: skip
    errors = [abs(gap - exact) for gap in gaps]
    assert errors[2] < errors[1] < errors[0] and errors[2] < 0.03


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("name", MAPS)
def test_is_never_negative(name, epsilon):
    x = points(16)
    settings = {"epsilon": epsilon, "max_iterations": 2000, "tolerance": 1e-7}
    debiased = monge_gap(x, MAPS[name](x), **settings)
    reference = monge_gap(x, MAPS[name](x), debiased=False, **settings)
    assert (debiased > -1e-5).all()
    torch.testing.assert_close(
        reference - debiased, torch.full_like(debiased, epsilon * np.log(16))
    )


def test_reference_convention_equals_its_formula_with_pots_plan():
    x = points(12)
    y = x @ ROTATION
    cost = ot.dist(x[0].numpy(), y[0].numpy()) / 2
    weights = np.full(12, 1 / 12)
    plan = ot.sinkhorn(weights, weights, cost, 0.5, method="sinkhorn_log", stopThr=1e-12)
    value = (plan * cost).sum() + 0.5 * (plan * np.log(plan)).sum()
    found = monge_gap(x, y, epsilon=0.5, max_iterations=5000, tolerance=1e-9, debiased=False)
    assert found[0].item() == pytest.approx(np.diag(cost).mean() - value, abs=1e-7)


def test_gradient_equals_finite_differences():
    x = points(5)
    images = (x @ ROTATION).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda y: monge_gap(x, y, epsilon=0.3, max_iterations=3000, tolerance=1e-12),
        (images,), eps=1e-5, atol=1e-5,
    )  # fmt: skip


def test_padding_never_matters():
    x = points(6)
    mask = torch.ones(2, 6).bool()
    mask[1, 3:] = False
    y = x @ ROTATION
    y[1, 3:] = torch.nan
    alone = monge_gap(x[1:, :3], y[1:, :3])
    torch.testing.assert_close(monge_gap(x, y, mask)[1:], alone, rtol=0, atol=1e-10)
