"""Gradients of the plan: finite differences, unrolled iterations, the envelope theorem."""

import pytest
import torch

from espnet_otreg.ot import cosine_cost, row_entropy, sinkhorn

RELAXATIONS = [(None, None), (0.3, None), (None, 0.3), (0.3, 0.5)]
CONVERGED = {"max_iterations": 3000, "tolerance": 1e-13}


def masks():
    """One full problem, one with padding on both sides."""
    source = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    target = torch.tensor([[1, 1, 1], [1, 1, 0]]).bool()
    return source, target


def solve(cost, relaxations, gradient, wide=False, **settings):
    source, target = masks()
    if wide:  # more targets than sources: the other side is eliminated
        source, target, cost = target, source, cost.mT
    return sinkhorn(
        cost,
        source,
        target,
        epsilon=0.1,
        source_relaxation=relaxations[0],
        target_relaxation=relaxations[1],
        gradient=gradient,
        **(settings or CONVERGED),
    )


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("relaxations", RELAXATIONS)
@pytest.mark.parametrize("gradient", ["implicit", "unrolled"])
def test_plan_gradient_equals_finite_differences(random_cost, gradient, relaxations, wide):
    settings = {} if gradient == "implicit" else {"max_iterations": 150, "tolerance": 1e-11}
    cost = random_cost(2, 5, 3).requires_grad_()

    def outputs(cost):
        solution = solve(cost, relaxations, gradient, wide, **settings)
        entropy = row_entropy(solution.coupling)
        return solution.coupling, solution.linear_cost, solution.regularized_cost, entropy

    fast = gradient == "unrolled"  # random projections: an element each takes seconds
    assert torch.autograd.gradcheck(
        outputs, (cost,), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=fast
    )


@pytest.mark.parametrize("relaxations", RELAXATIONS)
@pytest.mark.parametrize("gradient", ["implicit", "unrolled"])
def test_mass_gradient_equals_finite_differences(random_cost, gradient, relaxations):
    cost = random_cost(2, 4, 3)
    logits = (
        random_cost(2, 4, seed=1).requires_grad_(),
        random_cost(2, 3, seed=2).requires_grad_(),
    )

    def outputs(source, target):
        solution = sinkhorn(
            cost,
            source_mass=source.softmax(1),  # keeps the totals equal
            target_mass=target.softmax(1),
            source_relaxation=relaxations[0],
            target_relaxation=relaxations[1],
            gradient=gradient,
            max_iterations=300,
            tolerance=1e-13,
        )
        return solution.coupling, solution.regularized_cost

    assert torch.autograd.gradcheck(outputs, logits, eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("relaxations", RELAXATIONS)
def test_envelope_is_exact_for_the_regularized_cost(random_cost, relaxations):
    cost = random_cost(2, 5, 3).requires_grad_()

    def value(cost):
        return solve(cost, relaxations, "envelope").regularized_cost

    assert torch.autograd.gradcheck(value, (cost,), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_envelope_is_the_gradient_with_the_plan_held_constant(random_cost):
    cost = random_cost(2, 5, 3).requires_grad_()
    solution = solve(cost, (None, None), "envelope")
    assert not solution.coupling.requires_grad
    (gradient,) = torch.autograd.grad(solution.linear_cost.sum(), cost)
    assert torch.equal(gradient, solution.coupling)


def test_gradient_of_the_entropic_value_equals_the_plan(random_cost):
    cost = random_cost(2, 5, 3).requires_grad_()
    solution = solve(cost, (None, None), "implicit")
    (gradient,) = torch.autograd.grad(solution.regularized_cost.sum(), cost)
    torch.testing.assert_close(gradient, solution.coupling.detach(), rtol=0, atol=1e-12)


def speech_like():
    """Costs (3, 40, 12) of frames that are noisy copies of their tokens, with padding masks."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(3, 12, 64, generator=generator)
    spoken = torch.randint(12, (3, 40), generator=generator).sort(1).values
    noise = torch.randn(3, 40, 64, generator=generator)
    speech = text.gather(1, spoken[:, :, None].expand(-1, -1, 64)) + 1.5 * noise
    source = torch.arange(40) < torch.tensor([40, 23, 31])[:, None]
    target = torch.arange(12) < torch.tensor([12, 12, 5])[:, None]
    return cosine_cost(speech, text), source, target


@pytest.mark.parametrize("relaxations", [(None, None), (0.5, None), (None, 0.5), (0.5, 0.5)])
@pytest.mark.parametrize("epsilon", [0.1, 0.05])
def test_implicit_gradient_follows_unrolled_float64(epsilon, relaxations):
    cost, *masks = speech_like()
    settings = dict(zip(("source_relaxation", "target_relaxation"), relaxations, strict=True))

    def gradients(cost, gradient):
        solution = sinkhorn(
            cost.requires_grad_(),
            *masks,
            epsilon=epsilon,
            max_iterations=3000,
            tolerance=1e-6,
            gradient=gradient,
            **settings,
        )
        assert solution.residual.max() <= 1e-6
        entropy = row_entropy(solution.coupling).sum(1) / masks[0].sum(1)
        for sparsity_weight in (0.0, 0.1):
            loss = (solution.linear_cost + sparsity_weight * entropy).sum()
            yield torch.autograd.grad(loss, cost, retain_graph=True)[0].double().flatten()

    unrolled = list(gradients(cost.double(), "unrolled"))
    for implicit in (gradients(cost.clone(), "implicit"), gradients(cost.double(), "implicit")):
        for mine, exact in zip(implicit, unrolled, strict=True):
            assert torch.cosine_similarity(mine, exact, dim=0) >= 0.9999
            assert (mine - exact).norm() <= 0.01 * exact.norm()


def test_implicit_gradient_survives_a_plan_made_of_blocks():
    # At this epsilon the off-diagonal blocks underflow: two problems in one, a second null vector.
    blocks = torch.block_diag(torch.ones(4, 3), torch.ones(4, 3)) * -1.9 + 2
    torch.manual_seed(0)
    cost = (blocks + 0.01 * torch.rand(8, 6))[None].requires_grad_()
    (gradient,) = torch.autograd.grad(
        row_entropy(sinkhorn(cost, epsilon=0.01, tolerance=1e-6).coupling).sum(), cost
    )
    assert gradient.isfinite().all() and gradient.abs().max() < 100


def test_implicit_gradient_is_the_same_if_backward_runs_under_autocast(random_cost):
    cost = random_cost(2, 9, 4, dtype=torch.float32).requires_grad_()
    loss = row_entropy(sinkhorn(cost).coupling).sum()
    (plain,) = torch.autograd.grad(loss, cost, retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (mixed,) = torch.autograd.grad(loss, cost)
    assert torch.equal(plain, mixed)


def test_no_graph_is_built_where_no_gradient_is_wanted(random_cost):
    cost = random_cost(1, 4, 3).requires_grad_()
    for gradient in ("implicit", "unrolled", "envelope"):
        with torch.no_grad():
            assert not sinkhorn(cost, gradient=gradient).linear_cost.requires_grad
