"""InfoNCE against PyTorch's cross-entropy, closed forms and finite differences."""

import math

import pytest
import torch
import torch.nn.functional as F

from espnet_otreg.regularizers.contrastive import contrastive_losses, ranks_first, scaled_cosine


def all_others(count):
    return ~torch.eye(count, dtype=torch.bool)


def some_others(count):
    """Symmetric; the last pair has no negative."""
    generator = torch.Generator().manual_seed(3)
    negatives = torch.rand(count, count, generator=generator) < 0.6
    negatives = negatives | negatives.T
    negatives[-1] = negatives[:, -1] = False
    return negatives


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_with_all_others_as_negatives_it_is_cross_entropy_in_both_directions():
    similarity = 3 * random(6, 6)
    losses = contrastive_losses(similarity, all_others(6))
    pairs = torch.arange(6)
    rows = F.cross_entropy(similarity, pairs, reduction="none")
    columns = F.cross_entropy(similarity.T, pairs, reduction="none")
    torch.testing.assert_close(losses, (rows + columns) / 2)


def test_what_is_no_negative_is_no_class():
    similarity, negatives = 3 * random(7, 7), some_others(7)
    losses = contrastive_losses(similarity, negatives)
    for i in range(7):
        classes = [i, *(j for j in range(7) if j != i and negatives[i, j])]
        first = torch.tensor(0)
        row = F.cross_entropy(similarity[i, classes], first)
        column = F.cross_entropy(similarity[classes, i], first)
        torch.testing.assert_close(losses[i], (row + column) / 2)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
@pytest.mark.parametrize("level", [-20.0, 0.0, 10.0])
def test_equal_similarities_give_the_logarithm_of_their_number(count, level):
    losses = contrastive_losses(torch.full((count, count), level), all_others(count))
    torch.testing.assert_close(losses, torch.full((count,), math.log(count)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_negatives_loss_and_gradient_are_exactly_zero(count):
    similarity = random(count, count).requires_grad_()
    losses = contrastive_losses(similarity, ~torch.ones(count, count, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(losses.sum(), similarity)
    assert (losses == 0).all() and (gradient == 0).all()


def test_swapping_the_sides_changes_nothing():
    x, y, negatives = random(8, 5), random(8, 5).flip(0), some_others(8)
    there = contrastive_losses(scaled_cosine(x, y, 0.1), negatives)
    back = contrastive_losses(scaled_cosine(y, x, 0.1), negatives)
    torch.testing.assert_close(there, back)


def test_gradient_equals_finite_differences():
    x, y = random(5, 4).requires_grad_(), random(5, 4).flip(0).requires_grad_()

    def losses(x, y):
        return contrastive_losses(scaled_cosine(x, y, 0.2), some_others(5))

    assert torch.autograd.gradcheck(losses, (x, y))


def test_large_similarities_do_not_overflow():
    similarity = torch.tensor([[0.0, 1e4], [-1e4, 0.0]], requires_grad=True)
    losses = contrastive_losses(similarity, all_others(2))
    losses.sum().backward()
    torch.testing.assert_close(losses, torch.tensor([5e3, 5e3]))
    assert similarity.grad.isfinite().all()


def test_ranks_first_counts_negatives_only_and_ties_as_misses():
    similarity = torch.tensor([[0.5, 0.9, 0.1], [0.2, 0.2, 0.1], [0.3, 0.1, 0.8]])
    assert ranks_first(similarity, all_others(3)).tolist() == [False, False, True]
    negatives = all_others(3)
    negatives[0, 1] = False
    assert ranks_first(similarity, negatives).tolist() == [True, False, True]


def test_scaled_cosine_in_full_precision_whatever_autocast_says():
    x, y = random(4, 6), random(3, 6)
    expected = torch.cosine_similarity(x[:, None], y[None], dim=-1) / 0.07
    torch.testing.assert_close(scaled_cosine(x, y, 0.07), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = scaled_cosine(x.float(), y.float(), 0.07)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, expected.float())


def test_zero_vectors_are_similar_to_nothing_and_get_no_gradient():
    x = torch.zeros(2, 3, requires_grad=True)
    similarity = scaled_cosine(x, torch.eye(3)[:2], 0.1)
    contrastive_losses(similarity, all_others(2)).sum().backward()
    assert (similarity == 0).all() and (x.grad == 0).all()


@pytest.mark.parametrize("function", [contrastive_losses, ranks_first])
def test_arguments_that_do_not_fit(function):
    with pytest.raises(ValueError, match="square"):
        function(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="square"):
        function(torch.zeros(2, 2), torch.zeros(3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="bool"):
        function(torch.zeros(2, 2), torch.zeros(2, 2))
