"""What holds for every problem: random sizes, masks, masses, epsilons, precisions.

100 examples of most properties, 620 in all; ``tools/nightly.sh`` tries 12,400.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ot
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from espnet_otreg.ot import row_entropy, sinkhorn, sinkhorn_divergence, sparse_transport


@dataclass(frozen=True)
class Problems:
    """A padded batch whose padding holds NaN; ``masses`` are None where they are uniform."""

    cost: Tensor
    masks: tuple[Tensor, Tensor]
    masses: tuple[Tensor | None, Tensor | None]
    epsilon: float

    def trimmed(self, b: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cost (1, s, t) and masses of problem b alone, without what has no mass."""
        masses = []
        for mask, mass in zip(self.masks, self.masses, strict=True):
            own = mask[b].to(self.cost.dtype) / mask[b].sum() if mass is None else mass[b]
            masses.append(own[mask[b]])
        cost = self.cost[b][self.masks[0][b]][:, self.masks[1][b]]
        kept = [mass > 0 for mass in masses]
        return cost[kept[0]][:, kept[1]][None], *(
            m[k][None] for m, k in zip(masses, kept, strict=True)
        )


@st.composite
def problems(draw, dtypes=(torch.float32, torch.float64), epsilons=(0.05,), scales=(1.0,)):
    """Up to four problems of up to 9 x 7 with holes in their masks and masses of zero."""
    dtype = draw(st.sampled_from(dtypes))
    batch, size_s, size_t = (
        draw(st.integers(1, 4)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 7)),
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))

    def random(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    scale = draw(st.sampled_from(scales))
    cost = (scale * (random(batch, size_s, size_t) + 0.1)).to(dtype)
    masks, masses = [], []
    for size in (size_s, size_t):
        mask = random(batch, size) < draw(st.sampled_from([1.0, 0.7]))
        mask[:, 0] |= ~mask.any(1)
        masks.append(mask)
        mass = None
        if draw(st.booleans()):
            mass = (random(batch, size) + 0.05) * (random(batch, size) < 0.8) * mask
            mass = torch.where(mass.sum(1, keepdim=True) > 0, mass, mask.double())
            mass = (mass / mass.sum(1, keepdim=True)).to(dtype)
        masses.append(mass)
    support = masks[0][:, :, None] & masks[1][:, None, :]
    cost = torch.where(support, cost, torch.nan)
    return Problems(cost, tuple(masks), tuple(masses), draw(st.sampled_from(epsilons)))


@given(
    problems(epsilons=(0.002, 0.02, 0.1, 1.0), scales=(0.01, 1.0, 20.0)),
    st.booleans(),
    st.booleans(),
)
def test_marginals_support_and_batch_mates(given_problems, relaxed, anneal):
    p = given_problems
    settings = {
        "epsilon": p.epsilon, "max_iterations": 60, "annealing": 8 if anneal else 0,
        "source_relaxation": 0.3 if relaxed else None,
    }  # fmt: skip
    solution = sinkhorn(p.cost, *p.masks, *p.masses, **settings)
    plan = solution.coupling
    assert plan.isfinite().all() and (plan >= 0).all()
    for b in range(len(plan)):
        cost, source, target = p.trimmed(b)
        # What rounding of the exponents leaves of an entry.
        digits = torch.finfo(plan.dtype).eps * (20 + 4 * cost.max().item() / p.epsilon)
        rows, columns = (
            mask[b] & (mask[b] if mass is None else mass[b] > 0)
            for mask, mass in zip(p.masks, p.masses, strict=True)
        )
        assert (plan[b][~rows] == 0).all() and (plan[b][:, ~columns] == 0).all()
        own = plan[b][rows][:, columns]
        torch.testing.assert_close(own.sum(0), target[0], rtol=digits, atol=digits)
        if not relaxed:
            error = (own.sum(1) - source[0]).abs().sum()
            torch.testing.assert_close(error, solution.residual[b], rtol=1e-2, atol=10 * digits)
        alone = sinkhorn(cost, None, None, source, target, **settings)
        # Rounding differs with the layout, and iterations carry it along.
        torch.testing.assert_close(own, alone.coupling[0], rtol=0, atol=100 * digits)


@given(problems(epsilons=(0.002, 0.02, 0.1), scales=(1.0, 20.0)), st.sampled_from([None, 0.3]))
def test_the_iterations_are_those_of_the_log_domain_in_float64(given_problems, relaxation):
    p = given_problems
    settings = {
        "epsilon": p.epsilon, "max_iterations": 40, "tolerance": 0.0,
        "source_relaxation": relaxation,
    }  # fmt: skip
    plan = sinkhorn(p.cost, *p.masks, *p.masses, **settings).coupling
    masses = (None if mass is None else mass.double() for mass in p.masses)
    exact = sinkhorn(p.cost.double(), *p.masks, *masses, **settings, gradient="unrolled").coupling
    largest = p.cost.nan_to_num().amax().item() / p.epsilon
    error = (plan.double() - exact).abs().sum((1, 2)).max()
    assert error < torch.finfo(plan.dtype).eps * (1000 + 10 * largest)


@st.composite
def forbidding(draw, **options):
    """Problems with forbidden pairs that still have a plan: that of the north-west corner, after
    sources and targets have been put in a random order, stays allowed."""
    p = draw(problems(**options))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.2, 0.5, 0.9]))
    forbidden = torch.zeros(p.cost.shape, dtype=torch.bool)
    for b in range(len(p.cost)):
        sides = []
        for mask, mass in zip(p.masks, p.masses, strict=True):
            own = mask[b].double() / mask[b].sum() if mass is None else mass[b].double()
            order = generator.permutation(len(own))
            sides.append((order, np.append(0, np.cumsum((own * mask[b]).numpy()[order]))))
        (rows, r), (columns, c) = sides
        overlap = np.minimum(r[1:, None], c[None, 1:]) - np.maximum(r[:-1, None], c[None, :-1])
        needed = np.zeros(overlap.shape, dtype=bool)
        needed[np.ix_(rows, columns)] = overlap > 0  # a sliver of rounding is allowed, too
        barred = ~needed & (generator.random(needed.shape) < share)
        forbidden[b] = torch.tensor(barred)
    barred = torch.where(forbidden & ~p.cost.isnan(), torch.inf, p.cost)
    return Problems(barred, p.masks, p.masses, p.epsilon), forbidden


@settings(max_examples=settings().max_examples // 5)  # each solves its problems thrice
@given(
    forbidding(epsilons=(0.002, 0.02, 0.1, 1.0), scales=(1.0, 20.0)),
    st.sampled_from([(None, None), (0.3, None), (0.3, 0.5)]),
    st.sampled_from(["implicit", "unrolled", "envelope"]),
)
def test_forbidden_pairs_have_no_mass_and_no_gradient(given_problems, relaxations, gradient):
    p, forbidden = given_problems
    common = {
        "epsilon": p.epsilon, "source_relaxation": relaxations[0],
        "target_relaxation": relaxations[1], "max_iterations": 25,
    }  # fmt: skip
    cost = p.cost.clone().requires_grad_()
    solution = sinkhorn(cost, *p.masks, *p.masses, **common, gradient=gradient)
    plan, digits = solution.coupling.detach(), torch.finfo(p.cost.dtype).eps
    exponent = torch.where(p.cost < torch.inf, p.cost, 0).max().item() / p.epsilon
    assert plan.isfinite().all() and (plan[forbidden] == 0).all()
    finite = torch.where(p.cost < torch.inf, p.cost, 0).double()
    torch.testing.assert_close(
        solution.linear_cost.double(), (plan.double() * finite).sum((1, 2)), rtol=1e-5, atol=1e-5
    )
    value = solution.linear_cost + solution.regularized_cost + row_entropy(solution.coupling).sum(1)
    (slope,) = torch.autograd.grad(value.sum(), cost)
    assert slope.isfinite().all() and (slope[forbidden] == 0).all()
    masses = [None if mass is None else mass.double() for mass in p.masses]
    exact = sinkhorn(
        p.cost.double(), *p.masks, *masses, **common, tolerance=0.0,
        gradient="unrolled",
    )  # fmt: skip
    again = sinkhorn(p.cost, *p.masks, *p.masses, **common, tolerance=0.0)
    error = (again.coupling.double() - exact.coupling).abs().sum((1, 2)).max()
    assert error < digits * (1000 + 100 * exponent)
    if relaxations[1] is None:
        totals = [None if mass is None else mass.double() for mass in p.masses][1]
        mask = p.masks[1].double()
        target = mask / mask.sum(1, keepdim=True) if totals is None else totals * mask
        gap = (plan.double().sum(1) - target).abs().sum(1)
        assert gap.max() < digits * (20 + 4 * exponent)
        assert (gap[solution.converged] <= 1.001e-3).all()


@given(problems(dtypes=(torch.float64,), epsilons=(0.2, 0.5)), st.sampled_from([None, 0.3]))
def test_the_plan_is_pots(given_problems, relaxation):
    p = given_problems
    solution = sinkhorn(
        p.cost, *p.masks, *p.masses, epsilon=p.epsilon, source_relaxation=relaxation,
        max_iterations=5000, tolerance=1e-10,
    )  # fmt: skip
    for b, plan in enumerate(solution.coupling):
        cost, source, target = (x[0].numpy() for x in p.trimmed(b))
        problem, stop = (source, target, cost, p.epsilon), {"numItermax": 5000, "stopThr": 1e-11}
        if relaxation is None:
            expected = ot.sinkhorn(*problem, method="sinkhorn_log", **stop)
        else:
            expected = ot.unbalanced.sinkhorn_unbalanced(
                *problem, (relaxation, np.inf), reg_type="kl", **stop
            )
        found = plan[plan.sum(1) > 0][:, plan.sum(0) > 0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-7)


@given(problems(dtypes=(torch.float64,), epsilons=(0.1, 0.5)), st.sampled_from([None, 0.3]))
def test_the_gradient_is_that_of_finite_differences(given_problems, relaxation):
    p = given_problems
    generator = torch.Generator().manual_seed(0)
    direction = torch.rand(p.cost.shape, generator=generator, dtype=torch.float64) - 0.5

    def loss(step):
        cost = (p.cost + step * direction).requires_grad_()
        solution = sinkhorn(
            cost, *p.masks, *p.masses, epsilon=p.epsilon, max_iterations=20000, tolerance=1e-12,
            source_relaxation=relaxation, annealing=10,
        )  # fmt: skip
        value = solution.linear_cost + 0.1 * row_entropy(solution.coupling).sum(1)
        return value.sum(), cost

    value, cost = loss(0.0)
    (gradient,) = torch.autograd.grad(value, cost)
    assert (gradient[p.cost.isnan()] == 0).all()
    found = (gradient * direction).sum()
    h = 1e-5
    with torch.no_grad():
        expected = (loss(h)[0] - loss(-h)[0]) / (2 * h)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@given(problems(), st.integers(1, 8), st.sampled_from(["source", "target"]))
def test_sparse_plans_keep_their_side_and_their_number(given_problems, k, side):
    p = given_problems
    solution = sparse_transport(
        p.cost, *p.masks, *p.masses, max_nonzeros=k, sparse_side=side, max_iterations=60
    )
    plan = solution.coupling if side == "source" else solution.coupling.mT
    digits = 1e-5 if plan.dtype == torch.float32 else 1e-10
    assert plan.isfinite().all() and (plan >= 0).all() and ((plan > 0).sum(2) <= k).all()
    for b in range(len(plan)):
        cost, *masses = p.trimmed(b)
        if side == "target":
            cost, masses = cost.mT, masses[::-1]
        own = plan[b][plan[b].sum(1) > 0]
        torch.testing.assert_close(own.sum(1), masses[0][0], rtol=digits, atol=digits)
        error = (plan[b].sum(0)[plan[b].sum(0) > 0]).sum() - masses[1].sum()
        assert error.abs() < 10 * digits
        # Weak duality: no plan with these marginals costs less than the semi-dual's value.
        matrix = cost[0].double().numpy()
        a, c = (mass[0].double().numpy() for mass in masses)
        exact = ot.emd(a, c / c.sum() * a.sum(), matrix)
        if ((exact > 0).sum(1) <= k).all():
            objective = (exact * matrix).sum() + 0.05 * ((exact**2).sum(1) / a).sum()
            assert solution.regularized_cost[b].item() <= objective + 1e-4


@given(problems(dtypes=(torch.float64,), epsilons=(0.3, 1.0)), st.integers(1, 5))
def test_divergence_is_symmetric_not_negative_and_zero_on_itself(given_problems, size):
    p = given_problems
    generator = torch.Generator().manual_seed(0)
    clouds = [
        torch.where(
            mask[:, :, None], torch.randn(*mask.shape, size, generator=generator), torch.nan
        )
        for mask in p.masks
    ]
    settings = {"epsilon": p.epsilon, "max_iterations": 80, "tolerance": 1e-7}
    x, y = ((c.double(), m, w) for c, m, w in zip(clouds, p.masks, p.masses, strict=True))

    def divergence(first, second):
        sides = zip(first, second, strict=True)
        points, masks, masses = sides
        return sinkhorn_divergence(*points, *masks, *masses, **settings)

    there = divergence(x, y)
    assert (there > -1e-6).all()
    torch.testing.assert_close(divergence(y, x), there, rtol=1e-5, atol=1e-6)
    assert divergence(x, x).abs().max() < 1e-9
