#!/usr/bin/env python3
"""Time and accuracy of batched optimal transport beside what else one would use, in one run.

    tools/benchmark_ot.py [--sizes 32x150x40 ...] [--epsilons 0.1 ...] [--rounds 9] [--device cuda]

Every contender makes the same iterations on the same padded problems of varying lengths, cost given
for "forward"; "both" builds the cost from embeddings of 256 dimensions and differentiates
<P, C> + 0.1 row entropy. Times are medians of rounds in which all contenders take turns, so that
what disturbs one disturbs all; ratios are to POT's batched log-domain solver. "error" is the
largest L1 distance of a plan from our log-domain iterations in float64; "saved" is what solver and
loss keep for the backward pass.

The last table compares gradients of <P, C> + sparsity x row entropy for the embeddings, at OTReg's
defaults, with two in float64: "unrolled" through as many iterations, and "solved", that of a
problem solved to a residual of 1e-6. Cosine and ratio of norms are over the whole batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import ot
import torch
from geomloss.ot import solve_batch as geomloss_batch
from torch import Tensor

from espnet_otreg.ot import TransportSolution, cosine_cost, row_entropy, sinkhorn

# OTReg's defaults, and how the exact gradient is found.
DEFAULTS = {"max_iterations": 50, "tolerance": 1e-3}
SOLVED = {"max_iterations": 100_000, "tolerance": 1e-6}
GRADIENT_SIZE = 8, 150, 40
REFERENCE = "POT batch, log domain"
WIDTH = 256
Solve = Callable[[Tensor, "Problem", float, int], Tensor]


@dataclass(frozen=True)
class Problem:
    """A padded batch as speech and transcripts give it."""

    speech: Tensor
    text: Tensor
    source_mask: Tensor
    target_mask: Tensor
    source: Tensor
    target: Tensor


def make_problem(size: tuple[int, int, int], device: str) -> Problem:
    """(B, S, T): lengths vary between two fifths of S and T and all of them."""
    batch, frames, tokens = size
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(batch, tokens, WIDTH, generator=generator)
    spoken = torch.randint(tokens, (batch, frames), generator=generator).sort(1).values
    noise = torch.randn(batch, frames, WIDTH, generator=generator)
    speech = text.gather(1, spoken[:, :, None].expand(-1, -1, WIDTH)) + 1.5 * noise
    masks = []
    for longest in (frames, tokens):
        shortest = max(1, 2 * longest // 5)
        lengths = torch.randint(shortest, longest + 1, (batch, 1), generator=generator)
        lengths[0] = longest
        masks.append(torch.arange(longest)[None] < lengths)
    masses = [mask / mask.sum(1, keepdim=True) for mask in masks]
    return Problem(*(part.to(device) for part in (speech, text, *masks, *masses)))


def ours(cost: Tensor, problem: Problem, epsilon: float, iterations: int, gradient: str) -> Tensor:
    masks = problem.source_mask, problem.target_mask
    settings = {"epsilon": epsilon, "max_iterations": iterations, "tolerance": 0.0}
    return sinkhorn(cost, *masks, gradient=gradient, **settings).coupling  # type: ignore[arg-type]


def pot_batch(
    cost: Tensor, problem: Problem, epsilon: float, iterations: int, method: str
) -> Tensor:
    masses = {"a": problem.source, "b": problem.target}
    settings = {"max_iter": iterations, "tol": 0.0, "method": method, "grad": "autodiff"}
    plan: Tensor = ot.batch.solve_batch(cost, epsilon, **masses, **settings).plan
    return plan


def pot_loop(
    cost: Tensor, problem: Problem, epsilon: float, iterations: int, method: str
) -> Tensor:
    rows = []
    for b, matrix in enumerate(cost):
        s, t = int(problem.source_mask[b].sum()), int(problem.target_mask[b].sum())
        masses = problem.source[b, :s], problem.target[b, :t]
        settings = {"numItermax": iterations, "stopThr": 0.0, "warn": False, "method": method}
        plan = ot.sinkhorn(*masses, matrix[:s, :t], epsilon, **settings)
        rows.append(torch.nn.functional.pad(plan, (0, matrix.shape[1] - t, 0, matrix.shape[0] - s)))
    return torch.stack(rows)


def geomloss(cost: Tensor, problem: Problem, epsilon: float, iterations: int) -> Tensor:
    masses = {"a": problem.source, "b": problem.target}
    plan: Tensor = geomloss_batch(cost, reg=epsilon, max_iter=iterations, **masses).plan
    return plan


CONTENDERS: dict[str, Solve] = {
    REFERENCE: partial(pot_batch, method="log_sinkhorn"),
    "POT batch, kernel": partial(pot_batch, method="sinkhorn"),
    "POT loop, kernel": partial(pot_loop, method="sinkhorn"),
    "POT loop, log domain": partial(pot_loop, method="sinkhorn_log"),
    "GeomLoss solve_batch": geomloss,
    "ours, implicit": partial(ours, gradient="implicit"),
    "ours, envelope": partial(ours, gradient="envelope"),
    "ours, unrolled": partial(ours, gradient="unrolled"),
}


def clock(device: str) -> float:
    """Seconds; on a GPU all work is waited for."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def forward(solve: Solve, problem: Problem, epsilon: float, iterations: int) -> float:
    """Seconds to solve for given costs."""
    with torch.no_grad():
        cost = cosine_cost(problem.speech, problem.text)
        started = clock(cost.device.type)
        solve(cost, problem, epsilon, iterations)
        return clock(cost.device.type) - started


def both(solve: Solve, problem: Problem, epsilon: float, iterations: int) -> tuple[float, float]:
    """Seconds of forward and backward, cost included, and MiB saved between them without it."""
    speech = problem.speech.clone().requires_grad_()
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    started = clock(speech.device.type)
    cost = cosine_cost(speech, problem.text)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        plan = solve(cost, problem, epsilon, iterations)
        loss = (plan * cost).sum() + 0.1 * row_entropy(plan).mean()
    loss.backward()
    return clock(speech.device.type) - started, sum(saved.values()) / 2**20


def error(solve: Solve, problem: Problem, epsilon: float, iterations: int) -> float:
    """Largest L1 distance of a plan from that of the log domain in float64."""
    with torch.no_grad():
        cost = cosine_cost(problem.speech, problem.text)
        exact = ours(cost.double(), problem, epsilon, iterations, "unrolled")
        plan = solve(cost, problem, epsilon, iterations)
        return float((plan - exact).abs().sum((1, 2)).max())


def table(size: tuple[int, int, int], epsilon: float, arguments: argparse.Namespace) -> str:
    """All contenders on one size and epsilon."""
    problem = make_problem(size, arguments.device)
    work = (problem, epsilon, arguments.iterations)
    forwards: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    boths: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(arguments.rounds + 1):  # the first round warms up
        for name, solve in CONTENDERS.items():
            forwards[name].append(forward(solve, *work))
            boths[name].append(both(solve, *work))
    lines = [
        f"{size[0]} problems of up to {size[1]} x {size[2]}, epsilon {epsilon}, "
        f"{arguments.iterations} iterations",
        "",
        "| solver | forward, ms | times as fast | both, ms | times as fast | saved, MiB | error |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, solve in CONTENDERS.items():
        seconds = forwards[name][1:], [seconds for seconds, _ in boths[name][1:]]
        others = forwards[REFERENCE][1:], [seconds for seconds, _ in boths[REFERENCE][1:]]
        cells = [name]
        for own, reference in zip(seconds, others, strict=True):
            ratios = [theirs / mine for theirs, mine in zip(reference, own, strict=True)]
            cells += [f"{1000 * statistics.median(own):.1f}", f"{statistics.median(ratios):.2f}"]
        cells += [f"{boths[name][-1][1]:.1f}", f"{error(solve, *work):.1e}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gradient_of(
    problem: Problem,
    sparsity: float,
    which: Tensor | slice = slice(None),
    dtype: torch.dtype = torch.float64,
    **settings: Any,
) -> tuple[Tensor, TransportSolution]:
    """Gradient (B, S, D) of OTReg's loss for the embeddings of some of the problems, in float64."""
    speech = problem.speech[which].to(dtype).requires_grad_()
    masks = problem.source_mask[which], problem.target_mask[which]
    solution = sinkhorn(cosine_cost(speech, problem.text[which].to(dtype)), *masks, **settings)
    loss = solution.linear_cost
    if sparsity:
        loss = loss + sparsity * row_entropy(solution.coupling).sum(1) / masks[0].sum(1)
    return torch.autograd.grad(loss.sum(), speech)[0].double(), solution


def likeness(gradient: Tensor, other: Tensor) -> list[str]:
    """Cosine and ratio of norms, as cells."""
    norm, other_norm = float(gradient.norm()), float(other.norm())
    cosine = float((gradient * other).sum()) / (norm * other_norm)
    return [f"{cosine:.5f}", f"{norm / other_norm:.4f}"]


def gradient_table(arguments: argparse.Namespace) -> str:
    """How far the gradients that OTReg can take are from those they stand for."""
    problem = make_problem(GRADIENT_SIZE, arguments.device)
    lines = [
        "gradient at OTReg's defaults, {} problems of up to {} x {}, {max_iterations} iterations, "
        "tolerance {tolerance}".format(*GRADIENT_SIZE, **DEFAULTS),
        "",
        "| epsilon | gradient | sparsity | iterations | residual | cosine to unrolled | norm "
        "| cosine to solved | norm |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    # Held constant, the plan gives the sparsity term no gradient.
    for epsilon, (kind, sparsity) in product(
        arguments.epsilons, (("implicit", 0.1), ("implicit", 0.0), ("envelope", 0.0))
    ):
        settings = {"sparsity": sparsity, "epsilon": epsilon}
        taken, solution = gradient_of(
            problem, **settings, **DEFAULTS, gradient=kind, dtype=torch.float32
        )
        unrolled = torch.empty_like(taken)
        for count in solution.iterations.unique().tolist():
            which = solution.iterations == count
            same = {"max_iterations": count, "tolerance": 0.0, "gradient": "unrolled"}
            unrolled[which] = gradient_of(problem, which=which, **settings, **same)[0]
        solved, _ = gradient_of(problem, **settings, **SOLVED)
        cells = [f"{epsilon}", kind, f"{sparsity}", f"{solution.iterations.double().mean():.0f}"]
        cells += [f"{float(solution.residual.max()):.0e}"]
        cells += likeness(taken, unrolled) + likeness(taken, solved)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def size_of(text: str) -> tuple[int, int, int]:
    batch, frames, tokens = map(int, text.split("x"))
    return batch, frames, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--sizes", nargs="+", type=size_of, metavar="BxSxT",
        default=[size_of(text) for text in ("8x50x20", "32x150x40", "64x375x100")],
        help="problems x frames x tokens",
    )  # fmt: skip
    parser.add_argument("--epsilons", nargs="+", type=float, default=[0.1, 0.05, 0.02])
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, POT {ot.__version__}, {arguments.device}, ", end="")
    print(f"{arguments.threads} threads\n", flush=True)
    for size in arguments.sizes:
        for epsilon in arguments.epsilons:
            print(table(size, epsilon, arguments), end="\n\n", flush=True)
    print(gradient_table(arguments))


if __name__ == "__main__":
    main()
