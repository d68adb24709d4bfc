"""The fused iterations: as Triton's interpreter runs them, as its compiler takes them, and when."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton_interpreter import agrees, iterate_in, triton_interpreter

from espnet_otreg.ot import fused, fused_kernel, row_entropy, sinkhorn
from espnet_otreg.ot.implicit import plan_of
from espnet_otreg.ot.kernel_domain import iterate_in_kernel_domain
from espnet_otreg.ot.log_domain import iterate_in_log_domain
from espnet_otreg.ot.problem import make_problem

EXACT = (1.0, 1.0)
CPU = torch.device("cpu")
SOLVER = importlib.import_module("espnet_otreg.ot.sinkhorn")  # the package has the function


@pytest.fixture(scope="module")
def interpreter():
    with triton_interpreter() as process:
        yield process


@pytest.fixture(params=[False, True], ids=["resident", "streaming"])
def iterate_fused(interpreter, request):
    """``espnet_otreg.ot.fused.iterate_fused``, interpreted, by each of its two kernels."""
    return partial(iterate_in, interpreter, request.param)


def both_precisions(cost, *masks_and_masses):
    """A problem in float32 and the same in float64."""
    cost = cost.float()
    return [
        make_problem(
            cost.to(dtype),
            *(part if part is None or part.dtype == torch.bool else part.float().to(dtype)
              for part in (*masks_and_masses, *[None] * 4)[:4]),
            exact=(False, False),
        )
        for dtype in (torch.float32, torch.float64)
    ]  # fmt: skip


def plan(problem, state, epsilon):
    parts = (problem.log_source, problem.log_target, problem.support, state.u, state.v)
    return plan_of(problem.blocked / -epsilon, *parts)


def compare(iterate_fused, low, high, epsilon=0.1, damping=EXACT, iterations=7, atol=1e-4):
    """Plans, potentials and residuals against the log domain's in float64, as many iterations."""
    numbers = epsilon, damping
    start = torch.linspace(-1, 1, low.target.shape[1]).expand(low.target.shape)
    found = iterate_fused(low, *numbers, start, iterations, 0.0)
    expected = iterate_in_log_domain(high, *numbers, start.double(), iterations, -1.0)
    difference = plan(low, found, epsilon).double() - plan(high, expected, epsilon)
    assert difference.abs().sum((1, 2)).max() <= atol
    torch.testing.assert_close(found.residual.double(), expected.residual, rtol=atol, atol=atol)
    sides = (found.u, expected.u, low.source), (found.v, expected.v, low.target)
    for potentials, others, mass in sides:
        gap = epsilon * (potentials.double() - others).abs()
        assert torch.where(mass > 0, gap, 0).max() <= atol
        assert (potentials[mass == 0] == 0).all()
    assert found.iterations.tolist() == [iterations] * len(found.iterations)
    return found


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 20), (37, 20)], ids=str)
def test_equals_the_log_domain(iterate_fused, random_cost, size):
    compare(iterate_fused, *both_precisions(random_cost(2, *size)))
    compare(iterate_fused, *both_precisions(random_cost(1, *size)), iterations=1)


@pytest.mark.parametrize("size", [(150, 130), (7, 1100)], ids=str)
def test_larger_matrices_are_streamed(interpreter, random_cost, size):
    low, high = both_precisions(random_cost(1, *size))
    compare(partial(iterate_in, interpreter, False), low, high, iterations=2)


@pytest.mark.parametrize("damping", [(0.75, 1.0), (1.0, 0.8), (0.75, 0.5)], ids=str)
def test_relaxed_marginals(iterate_fused, random_cost, damping):
    compare(iterate_fused, *both_precisions(random_cost(2, 9, 4)), damping=damping)


@pytest.mark.parametrize(
    ("epsilon", "factor", "damping"),
    [
        (0.05, 1, EXACT),
        (0.02, 1, EXACT),
        (0.002, 1, EXACT),
        (0.1, 20, EXACT),
        (0.002, 1, (0.75, 1.0)),
        (0.1, 20, (1.0, 0.8)),
    ],
)
def test_small_epsilon_and_large_costs(iterate_fused, random_cost, epsilon, factor, damping):
    low, high = both_precisions(factor * random_cost(1, 20, 9))
    # Costs / epsilon are 650 and 260 at most, which float32 has to 3e-5 and 1.5e-5.
    compare(iterate_fused, low, high, epsilon, damping, iterations=9)


@pytest.mark.parametrize("damping", [EXACT, (0.75, 1.0), (0.1, 0.5)], ids=str)
def test_stays_finite_where_float32_ends(iterate_fused, random_cost, damping):
    low, high = both_precisions(20 * random_cost(1, 20, 9))
    # Costs / epsilon are 13000 at most, which float32 has to 5e-4.
    found = compare(iterate_fused, low, high, 0.002, damping, iterations=12, atol=1e-2)
    assert found.u.isfinite().all() and found.v.isfinite().all()


def test_masks_masses_and_empty_sides(iterate_fused, random_cost):
    cost = random_cost(5, 40, 6)
    source, target = torch.ones(5, 40).bool(), torch.ones(5, 6).bool()
    source[1, :33], target[1, 4:] = False, False  # the first tiles of a sum hold nothing
    source[2], target[3] = False, False
    cost[~(source[:, :, None] & target[:, None, :])] = torch.nan
    a, b = random_cost(5, 40, seed=1), random_cost(5, 6, seed=2)
    a[0, 5:9], a[4], b[4, ::2] = 0, 1e-6, 0
    parts = (source, target, a / a.sum(1, keepdim=True), b / b.sum(1, keepdim=True))
    found = compare(iterate_fused, *both_precisions(cost, *parts))
    for state in (found.u, found.v, found.residual):
        assert (state[2:4] == 0).all() and state.isfinite().all()


@pytest.mark.parametrize(("epsilon", "damping"), [(0.002, EXACT), (0.1, (0.75, 0.8))], ids=str)
def test_forbidden_pairs(iterate_fused, random_cost, epsilon, damping):
    cost = random_cost(3, 40, 6)
    cost[0, :35, 1] = torch.inf  # more than the first tile of a sum
    cost[1, 36:, :5] = torch.inf
    cost[2, :30, 3:], cost[2, 30:, :3] = torch.inf, torch.inf
    source = torch.ones(3, 40).bool()
    source[1, 38:] = False
    low, high = both_precisions(cost, source)
    assert low.forbids
    compare(iterate_fused, low, high, epsilon, damping, iterations=3)
    single = torch.full((1, 5, 3), torch.inf).double()
    single[0, 4, 2] = 0.3
    compare(iterate_fused, *both_precisions(single), epsilon, damping, iterations=2)


@pytest.mark.parametrize(("gradient", "relaxed"), [("implicit", True), ("envelope", False)])
def test_gradients_with_forbidden_pairs(iterate_fused, random_cost, monkeypatch, gradient, relaxed):
    forbidden = torch.ones(14, 6).tril(-10).bool() | torch.ones(14, 6).triu(4).bool()
    settings = {"gradient": gradient, "max_iterations": 12, "epsilon": 0.3}
    settings |= {"source_relaxation": 0.3} if relaxed else {}

    def solve():
        cost = random_cost(2, 14, 6, dtype=torch.float32).requires_grad_()
        solution = sinkhorn(cost.masked_fill(forbidden, torch.inf), **settings)
        loss = solution.regularized_cost + solution.linear_cost
        loss = loss.sum() + 0.1 * row_entropy(solution.coupling).sum()
        return solution, torch.autograd.grad(loss, cost)[0]

    expected, expected_gradient = solve()
    monkeypatch.setattr(SOLVER, "is_fused", lambda cost: True)
    monkeypatch.setattr(SOLVER, "iterate_fused", iterate_fused)
    found, found_gradient = solve()
    assert (found.coupling[:, forbidden] == 0).all() and found_gradient.isfinite().all()
    assert (found_gradient[:, forbidden] == 0).all() and found_gradient.abs().max() > 1e-3
    torch.testing.assert_close(found.coupling, expected.coupling, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.linear_cost, expected.linear_cost, rtol=0, atol=1e-4)
    torch.testing.assert_close(found_gradient, expected_gradient, rtol=0, atol=1e-4)


def test_what_a_warm_start_holds_without_mass_is_ignored(iterate_fused, random_cost):
    target = torch.tensor([[True, False, True, True]])
    low, _ = both_precisions(random_cost(1, 9, 4), None, target)
    start = torch.tensor([[0.3, torch.nan, -0.2, 0.1]])
    found = iterate_fused(low, 0.1, EXACT, start, 3, 0.0)
    clean = iterate_fused(low, 0.1, EXACT, start.nan_to_num(), 3, 0.0)
    assert torch.equal(found.u, clean.u) and torch.equal(found.v, clean.v)


def test_costs_and_starts_of_any_layout(iterate_fused, random_cost):
    low, high = both_precisions(random_cost(2, 5, 9))
    compare(
        iterate_fused, low.transposed(), high.transposed()
    )  # and `compare` gives an expanded start


@pytest.mark.parametrize("damping", [EXACT, (0.75, 0.8)], ids=str)
def test_each_problem_stops_by_itself(iterate_fused, random_cost, damping):
    cost = torch.cat([random_cost(1, 9, 4), 20 * random_cost(1, 9, 4, seed=1)])
    low, high = both_precisions(cost)
    found = iterate_fused(low, 0.1, damping, torch.zeros(2, 4), 13, 0.02)
    expected = iterate_in_kernel_domain(high, 0.1, damping, torch.zeros(2, 4).double(), 13, 0.02)
    assert found.iterations.tolist() == expected.iterations.tolist() == [10, 13]
    assert (found.residual <= 0.02).tolist() == [True, False]
    names = ("u", "v", "residual", "iterations")
    for name in names:
        mine, others = getattr(found, name).double(), getattr(expected, name).double()
        torch.testing.assert_close(mine, others, rtol=0, atol=1e-4)
    first = low.select(torch.tensor([True, False]))
    alone = iterate_fused(first, 0.1, damping, torch.zeros(1, 4), 13, 0.02)
    for name in names:
        assert torch.equal(getattr(alone, name)[0], getattr(found, name)[0]), name


def test_nan_stays_in_its_problem_and_ends(iterate_fused, random_cost):
    low, _ = both_precisions(random_cost(2, 5, 4))  # which refuses NaN costs
    blocked = low.blocked.clone()
    blocked[0, 0, 0] = torch.nan
    low = replace(low, blocked=blocked)
    found = iterate_fused(low, 0.1, EXACT, torch.zeros(2, 4), 7, 0.1)
    assert found.residual[0].isnan() and found.residual[1] <= 0.1
    assert found.iterations.tolist() == [7, 5]


@pytest.mark.parametrize("gradient", ["implicit", "envelope"])
@pytest.mark.parametrize("relaxation", [None, 0.3])
def test_solutions_and_gradients_equal_those_without_it(
    iterate_fused, random_cost, monkeypatch, gradient, relaxation
):
    source = torch.arange(14) < torch.tensor([[14], [9]])
    settings = {"gradient": gradient, "source_relaxation": relaxation, "max_iterations": 12}

    def solve():
        cost = random_cost(2, 14, 6, dtype=torch.float32).requires_grad_()
        mass = random_cost(2, 6, seed=1, dtype=torch.float32).requires_grad_()
        shares = mass.softmax(1) if gradient == "implicit" else None
        solution = sinkhorn(cost * 1, source, target_mass=shares, **settings)
        loss = solution.regularized_cost.sum() + solution.linear_cost.sum()
        loss = loss + 0.1 * row_entropy(solution.coupling).sum()
        inputs = (cost, mass) if gradient == "implicit" else (cost,)
        return solution, torch.autograd.grad(loss, inputs)

    expected, expected_gradients = solve()
    monkeypatch.setattr(SOLVER, "is_fused", lambda cost: True)
    monkeypatch.setattr(SOLVER, "iterate_fused", iterate_fused)
    found, gradients = solve()
    for name in ("coupling", "linear_cost", "regularized_cost", "residual", "potentials"):
        for mine, other in zip(getattr(found, name), getattr(expected, name), strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-4)
    assert torch.equal(found.iterations, expected.iterations)
    for mine, other in zip(gradients, expected_gradients, strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-4)


def test_only_iterations_that_are_not_differentiated_are_fused(random_cost, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("fused")

    monkeypatch.setattr(SOLVER, "iterate_fused", refuse)
    for cost in (random_cost(1, 3, 2), random_cost(1, 3, 2).float(), torch.zeros(2, 0, 3)):
        assert not fused.is_fused(cost)
        assert sinkhorn(cost).converged.all()
    monkeypatch.setattr(SOLVER, "is_fused", lambda cost: True)
    assert sinkhorn(random_cost(1, 3, 2), gradient="unrolled").converged.all()
    with pytest.raises(RuntimeError, match="fused"):
        sinkhorn(random_cost(1, 3, 2))


def test_a_device_is_tried_before_it_is_used(interpreter, monkeypatch):
    assert interpreter.submit(agrees).result()
    fused._agrees_on.cache_clear()
    with pytest.warns(UserWarning, match="cpu does without Triton"):  # it compiles for GPUs only
        assert not fused._agrees_on(CPU)
    fused._agrees_on.cache_clear()
    monkeypatch.setattr(fused, "_agrees", lambda shape, device: False)
    with pytest.warns(UserWarning, match="its results differ from PyTorch's"):
        assert not fused._agrees_on(CPU)
    fused._agrees_on.cache_clear()
    monkeypatch.setitem(sys.modules, "triton", None)
    with warnings.catch_warnings(action="error"):
        assert not fused._agrees_on(CPU)
    fused._agrees_on.cache_clear()


def test_a_wrong_result_does_not_agree(monkeypatch):
    monkeypatch.setattr(fused, "iterate_fused", iterate_in_kernel_domain)
    assert fused._agrees((2, 20, 9), CPU)
    monkeypatch.setattr(
        fused,
        "iterate_fused",
        lambda problem, *rest: iterate_in_kernel_domain(problem, *rest[:-2], 5, 0),
    )
    assert not fused._agrees((2, 20, 9), CPU)


def test_nothing_needs_triton():
    code = (
        "import sys\n"
        "sys.modules['triton'] = None\n"
        "import torch\n"
        "from espnet_otreg.ot import sinkhorn\n"
        "print(sinkhorn(torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])).converged.item())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert run.stdout.split() == ["True"]


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("kernel", "sizes", "warps", "carried"),
    [
        ("iterate_resident", (16, 16), 1, 5),
        ("iterate_resident", (256, 64), 8, 5),
        ("iterate_streaming", fused._TILE, 4, 2),
    ],
    ids=["smallest", "largest", "streaming"],
)
def test_compiles_for_gpus(kernel, sizes, warps, carried, capability, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function = getattr(fused_kernel, kernel)
    *names, first, second = function.arg_names
    pointers = dict.fromkeys(names[:8], "*fp32") | {"found_iterations": "*i64"}
    numbers = {"sources": "i32", "targets": "i32", "max_iterations": "i32", "every": "i32"}
    signature = {name: {**pointers, **numbers}.get(name, "fp32") for name in names}
    signature |= {first: "constexpr", second: "constexpr"}
    source = ASTSource(function, signature, dict(zip((first, second), sizes, strict=True)))
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": warps})
    assert f".target sm_{capability}" in compiled.asm["ptx"]
    # The compiler loses a variable that starts a `while` as another one's value; the interpreter
    # does not. All that changes from iteration to iteration has to be carried.
    assert re.findall(r":(\d+) = scf\.while", compiled.asm["ttir"]) == [str(carried)]
