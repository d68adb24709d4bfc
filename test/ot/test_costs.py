"""Cosine cost: value, precision, zero vectors."""

import pytest
import torch

from espnet_otreg.ot import cosine_cost, euclidean_cost, squared_euclidean_cost, with_position


def test_equals_one_minus_torch_cosine_similarity():
    torch.manual_seed(0)
    speech, text = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(2, 3, 8).double()
    expected = 1 - torch.cosine_similarity(speech[:, :, None], text[:, None], dim=-1)
    torch.testing.assert_close(cosine_cost(speech, text), expected)


def test_scaling_any_embedding_changes_nothing():
    torch.manual_seed(0)
    speech, text = torch.randn(1, 5, 8), torch.randn(1, 3, 8)
    scale = torch.tensor([1e-4, 0.1, 1.0, 50.0, 1e5])[None, :, None]
    torch.testing.assert_close(cosine_cost(speech * scale, text * 7), cosine_cost(speech, text))


def test_lies_between_zero_and_two():
    torch.manual_seed(0)
    speech = torch.randn(1, 200, 3)
    cost = cosine_cost(speech, torch.cat([speech, -speech], dim=1))
    assert cost.min() >= 0 and cost.max() <= 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_is_float32_whatever_autocast_says(dtype):
    torch.manual_seed(0)
    speech, text = torch.randn(1, 5, 64).to(dtype), torch.randn(1, 3, 64).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cost = cosine_cost(speech, text)
    assert cost.dtype == torch.float32
    torch.testing.assert_close(cost.double(), cosine_cost(speech.double(), text), rtol=0, atol=1e-6)


def test_is_float64_if_given():
    assert cosine_cost(torch.ones(1, 1, 2).double(), torch.ones(1, 1, 2)).dtype == torch.float64


def test_zero_vectors_are_at_distance_one_and_get_no_gradient():
    speech = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]], requires_grad=True)
    text = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]], requires_grad=True)
    cost = cosine_cost(speech, text)
    assert cost[0, 0].tolist() == [1, 1] and cost[0, 1, 1] == 1
    cost.sum().backward()
    assert speech.grad is not None and text.grad is not None
    assert speech.grad[0, 0].tolist() == [0, 0] and text.grad[0, 1].tolist() == [0, 0]
    assert speech.grad.isfinite().all() and speech.grad[0, 1].abs().sum() > 0


@pytest.mark.parametrize(
    "shapes", [((5, 8), (3, 8)), ((1, 5, 8), (2, 3, 8)), ((1, 5, 8), (1, 3, 7))]
)
def test_rejects_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="expected"):
        cosine_cost(torch.ones(shapes[0]), torch.ones(shapes[1]))


def test_euclidean_costs_equal_their_definition():
    torch.manual_seed(0)
    x, y = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(2, 3, 8).double()
    squares = (x[:, :, None] - y[:, None]).square().sum(-1)
    torch.testing.assert_close(squared_euclidean_cost(x, y), squares / 2)
    torch.testing.assert_close(euclidean_cost(x, y), squares.sqrt())


@pytest.mark.parametrize("cost", [squared_euclidean_cost, euclidean_cost])
def test_euclidean_costs_far_from_the_origin_and_of_equal_points(cost):
    x = torch.randn(1, 6, 4)
    near, far = cost(x, x), cost(x + 1000, x + 1000)
    torch.testing.assert_close(near, far, rtol=1e-3, atol=1e-2)
    assert torch.diagonal(near, dim1=1, dim2=2).abs().max() < 1e-6
    points = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(points, x).sum(), points)
    assert gradient.isfinite().all()
    with pytest.raises(ValueError, match="expected"):
        cost(x, x[:, :, :2])


def test_a_position_adds_half_its_squared_gap():
    x, y = torch.randn(1, 5, 3), torch.randn(1, 4, 3)
    placed = [with_position(z, torch.tensor([z.shape[1]]), 0.7) for z in (x, y)]
    gap = torch.linspace(0, 1, 5)[:, None] - torch.linspace(0, 1, 4)[None]
    expected = squared_euclidean_cost(x, y) + (0.7 * gap).square() / 2
    torch.testing.assert_close(squared_euclidean_cost(*placed), expected)
