"""What is read off a plan."""

import math

import torch

from espnet_otreg.ot import Span, barycentric_projection, hard_alignment, row_entropy, spans


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


def test_hard_alignment_and_its_spans():
    plan = torch.tensor([[0.3, 0.1], [0.2, 0.1], [0.0, 0.0], [0.0, 0.4], [0.4, 0.0]])
    alignment = hard_alignment(plan)
    assert alignment.tolist() == [0, 0, -1, 1, 0]
    assert spans(alignment) == [Span(0, 0, 2), Span(1, 3, 4), Span(0, 4, 5)]
    assert spans(torch.empty(0, dtype=torch.long)) == []
