"""Sinkhorn divergence: GeomLoss as oracle, its identities, its gradient."""

import pytest
import torch
from geomloss import SamplesLoss

from espnet_otreg.ot import euclidean_cost, sinkhorn_divergence, with_position

EXACT = {"max_iterations": 2000, "tolerance": 1e-10}


def clouds(seed=0, sizes=(9, 6), shift=0.5):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(2, n, 3, generator=generator, dtype=torch.float64) for n in sizes)
    return x, y + shift


@pytest.mark.parametrize("blur", [0.05, 0.2, 0.5])
def test_equals_geomloss(blur):
    x, y = clouds()
    oracle = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.99, backend="tensorized")
    torch.testing.assert_close(
        sinkhorn_divergence(x, y, epsilon=blur**2, **EXACT), oracle(x, y), rtol=0, atol=1e-4
    )


def test_equals_geomloss_with_masses_and_euclidean_cost():
    x, y = clouds()
    a, b = torch.rand(2, 9).double() + 0.1, torch.rand(2, 6).double() + 0.1
    a, b = a / a.sum(1, keepdim=True), b / b.sum(1, keepdim=True)
    oracle = SamplesLoss("sinkhorn", p=1, blur=0.1, scaling=0.99, backend="tensorized")
    found = sinkhorn_divergence(x, y, x_mass=a, y_mass=b, epsilon=0.1, cost=euclidean_cost, **EXACT)
    torch.testing.assert_close(found, oracle(a, x, b, y), rtol=0, atol=1e-4)


def test_is_zero_on_itself_and_positive_otherwise():
    x, y = clouds(shift=0.0)
    assert sinkhorn_divergence(x, x).abs().max() < 1e-12
    assert sinkhorn_divergence(x, x.flip(1), **EXACT).abs().max() < 1e-8  # order does not count
    assert (sinkhorn_divergence(x, y, **EXACT) > 1e-4).all()
    torch.testing.assert_close(
        sinkhorn_divergence(x, y, **EXACT), sinkhorn_divergence(y, x, **EXACT)
    )


def test_a_translation_costs_half_its_square():
    x, _ = clouds()
    moved = sinkhorn_divergence(x, x + torch.tensor([3.0, 0.0, 4.0]), **EXACT)
    torch.testing.assert_close(moved, torch.full_like(moved, 12.5))


def test_gradient_equals_finite_differences_and_geomloss():
    x, y = (cloud[:1].clone() for cloud in clouds(sizes=(4, 3)))
    x.requires_grad_()
    y.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, y: sinkhorn_divergence(x, y, epsilon=0.04, **EXACT), (x, y), eps=1e-5, atol=1e-6
    )
    (ours,) = torch.autograd.grad(sinkhorn_divergence(x, y, epsilon=0.04, **EXACT).sum(), x)
    oracle = SamplesLoss("sinkhorn", p=2, blur=0.2, scaling=0.99, backend="tensorized")
    (theirs,) = torch.autograd.grad(oracle(x, y).sum(), x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-3)  # it stops before convergence


def test_padding_and_batch_mates_never_matter():
    x, y = clouds()
    x_mask, y_mask = torch.ones(2, 9).bool(), torch.ones(2, 6).bool()
    x_mask[1, 4:], y_mask[1, 1:] = False, False
    x[1, 4:] = torch.nan
    both = sinkhorn_divergence(x, y, x_mask, y_mask)
    alone = sinkhorn_divergence(x[1:, :4], y[1:, :1])
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-12)
    assert sinkhorn_divergence(x, y, x_mask & False, y_mask).tolist() == [0.0, 0.0]


def test_with_positions_the_order_counts():
    x, _ = clouds()
    lengths = torch.tensor([9, 9])
    placed = with_position(x, lengths, 1.0)
    turned = with_position(x.flip(1), lengths, 1.0)
    assert (sinkhorn_divergence(placed, turned, **EXACT) > 0.01).all()
    plain = with_position(x.flip(1), lengths, 0.0)
    assert sinkhorn_divergence(with_position(x, lengths, 0.0), plain, **EXACT).max() < 1e-8
    assert with_position(torch.zeros(1, 2, 1), torch.tensor([1]), 1.0)[0, 0, 1] == 0  # no 0 / 0
