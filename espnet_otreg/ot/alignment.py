"""Hard alignments from a transport plan."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.ot.checks import check_mask, check_plan

# Score of a pair without mass: no sum of logarithms of positive numbers comes near it, and float64
# adds them to a thousand of it with six decimals.
_WITHOUT_MASS = -1e7


@checked
def hard_alignment(coupling: Tensor) -> Tensor:
    """The target with the largest share of each source, -1 for a row without mass or with NaN.

    Args:
        coupling: (..., S, T).

    Returns:
        (..., S) int64.

    Raises:
        ValueError: if it is no plan of real numbers.

    >>> hard_alignment(torch.tensor([[0.1, 0.3], [0.0, 0.0]]))
    tensor([ 1, -1])
    """
    check_plan(coupling)
    if not coupling.shape[-1]:
        return torch.full(coupling.shape[:-1], -1, device=coupling.device)
    return torch.where(coupling.sum(-1) > 0, coupling.argmax(-1), -1)


class Span(NamedTuple):
    """Consecutive sources of one target: ``start`` inclusive, ``stop`` exclusive."""

    target: int
    start: int
    stop: int


@checked
def spans(alignment: Tensor) -> list[Span]:
    """Runs of equal targets in a hard alignment (S,), in order; unaligned sources are left out.

    Raises:
        ValueError: if the alignment is not of one sequence.

    >>> spans(torch.tensor([2, 2, -1, 0]))
    [Span(target=2, start=0, stop=2), Span(target=0, start=3, stop=4)]
    """
    if alignment.dim() != 1 or alignment.is_floating_point() or alignment.is_complex():
        raise ValueError(
            f"alignment: expected (S,) whole numbers, found {tuple(alignment.shape)} "
            f"{alignment.dtype}"
        )
    targets, counts = torch.unique_consecutive(alignment, return_counts=True)
    stops = counts.cumsum(0).tolist()
    runs = zip(targets.tolist(), [0, *stops], stops, strict=False)
    return [Span(*run) for run in runs if run[0] >= 0]


@checked
def monotonic_alignment(coupling: Tensor, source_mask: Tensor, target_mask: Tensor) -> Tensor:
    """The likeliest alignment that goes through all targets in order, one after the other.

    ``argmax sum_i log P_i,t(i)`` over ``t`` from the first to the last target that stays or moves
    on by one at each source (Viterbi, as in Kim et al. 2020, Glow-TTS). Pairs without mass, such as
    forbidden ones, are on the path only if no other has fewer of them.

    Args:
        coupling: (B, S, T) of sequences, not negative.
        source_mask, target_mask: (B, S), (B, T) bool, True = real, padding last.

    Returns:
        (B, S) int64 targets; -1 on padding, and throughout where there are fewer sources than
        targets or no target.

    Raises:
        ValueError: on other shapes or kinds of numbers.

    >>> plan = torch.tensor([[[0.3, 0.1], [0.0, 0.3], [0.1, 0.2]]])
    >>> real = torch.ones(1, 3).bool()
    >>> monotonic_alignment(plan, real, real[:, :2])
    tensor([[0, 1, 1]])
    """
    check_plan(coupling, dimensions=3)
    batch, size_s, size_t = coupling.shape
    check_mask("source_mask", source_mask, (batch, size_s))
    check_mask("target_mask", target_mask, (batch, size_t))
    sources, targets = source_mask.sum(1), target_mask.sum(1)
    possible = (targets > 0) & (sources >= targets)
    if size_t == 0 or size_s == 0:
        return torch.full((batch, size_s), -1, device=coupling.device)
    plan = coupling.detach().double()
    gain = torch.where(plan > 0, plan.clamp(min=torch.finfo(plan.dtype).tiny).log(), _WITHOUT_MASS)
    gain = gain.masked_fill(~target_mask[:, None], -torch.inf)
    best = torch.full_like(gain[:, 0], -torch.inf)
    best[:, 0] = gain[:, 0, 0]
    moved = torch.zeros(batch, size_s, size_t, dtype=torch.bool, device=gain.device)
    for i in range(1, size_s):
        before = torch.nn.functional.pad(best, (1, 0), value=-torch.inf)[:, :-1]
        moved[:, i] = before > best
        # Behind its last source a sequence keeps its scores.
        following = torch.maximum(best, before) + gain[:, i]
        best = torch.where(source_mask[:, i : i + 1], following, best)
    path = torch.full((batch, size_s), -1, device=gain.device)
    now = (targets - 1).clamp(min=0)
    for i in reversed(range(size_s)):
        real = source_mask[:, i]
        path[:, i] = torch.where(real & possible, now, -1)
        now = now - (moved[:, i].gather(1, now[:, None])[:, 0] & real).long()
    return path
