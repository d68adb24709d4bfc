"""What is read off a plan."""

import math

import torch

from espnet_otreg.ot import barycentric_projection, row_entropy, row_impurity, row_spread


def test_row_entropy_of_known_rows():
    plan = torch.tensor([[[0.1, 0.1, 0.1, 0.1], [0.0, 0.3, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    expected = torch.tensor([[math.log(4), 0.0, 0.0]])
    torch.testing.assert_close(row_entropy(plan), expected)


def test_row_entropy_gradient():
    torch.manual_seed(0)
    plan = torch.rand(2, 3, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(row_entropy, (plan,))
    zeros = torch.zeros(1, 2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(row_entropy(zeros).sum(), zeros)
    assert gradient.isfinite().all()


def test_an_identity_plan_returns_the_tokens():
    tokens = torch.randn(2, 4, 8)
    plan = torch.eye(4).expand(2, 4, 4) / 4
    torch.testing.assert_close(barycentric_projection(plan, tokens), tokens)


def test_projection_of_a_row_without_mass_is_zero():
    plan = torch.tensor([[[0.0, 0.0], [0.2, 0.2]]])
    points = torch.tensor([[[2.0], [4.0]]])
    assert barycentric_projection(plan, points).tolist() == [[[0.0], [3.0]]]


def test_impurity_and_spread_of_known_rows():
    plan = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.0, 0.3, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    for measure in (row_impurity, row_spread):
        torch.testing.assert_close(measure(plan), torch.tensor([0.75, 0.0, 0.0]))
        torch.testing.assert_close(measure(7 * plan), measure(plan))
        rows = torch.rand(3, 4, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(measure, (rows,))
        zeros = torch.zeros(1, 2, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(measure(zeros).sum(), zeros)
        assert gradient.isfinite().all()


def test_rows_that_have_all_but_vanished_count_as_empty():
    for dtype in (torch.float32, torch.float64):
        least = torch.finfo(dtype).tiny
        plan = torch.tensor([[[least, 3 * least], [0.1, 0.3]]], dtype=dtype).requires_grad_()
        for measure in (row_entropy, row_impurity, row_spread):
            value = measure(plan)
            (gradient,) = torch.autograd.grad(value.sum(), plan)
            assert value[0, 0] == 0 and value[0, 1] > 0.2 and gradient.isfinite().all()
