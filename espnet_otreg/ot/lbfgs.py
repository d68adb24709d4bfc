"""L-BFGS for a batch of small independent convex problems."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]

_MEMORY = 10
_SUFFICIENT = 1e-4  # Armijo: share of the promised decrease that a step has to bring
_HALVINGS = 25


def minimize(
    evaluate: Evaluate, start: Tensor, longest: Tensor, max_iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Minimise convex functions by L-BFGS with backtracking (Nocedal & Wright, algorithm 7.5).

    A problem whose gradient has at most the tolerance in L1, or that no step improves, stays where
    it is: its result does not depend on the others of the batch. Where the functions have kinks
    the search may end at one.

    Args:
        evaluate: (B, N) points to (B,) values and (B, N) gradients.
        start: (B, N).
        longest: (B,) no coordinate changes by more in one step; rounding could make a much longer
            one look like an improvement.
        max_iterations: at least 0.
        tolerance: of the gradient's L1 norm.

    Returns:
        (B, N) points and (B,) int64 iterations.

    >>> def square(x):
    ...     return ((x - 3) ** 2).sum(1), 2 * (x - 3)
    >>> minimize(square, torch.zeros(1, 2), torch.ones(1), 9, 1e-5)[0]
    tensor([[3., 3.]])
    """
    point = start
    value, gradient = evaluate(point)
    iterations = torch.zeros(len(point), dtype=torch.int64, device=point.device)
    going = gradient.abs().sum(1) > tolerance
    fresh = torch.ones_like(going)  # nothing learnt yet
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # step, change of gradient, 1 / their product
    for _ in range(max_iterations):
        if not bool(going.any()):
            break
        direction = _direction(gradient, pairs)
        slope = (direction * gradient).sum(1)
        longest_size = longest / direction.abs().amax(1).clamp(min=torch.finfo(value.dtype).tiny)
        size = torch.where(fresh, longest_size, longest_size.clamp(max=1))
        wanted = going & (slope < 0)
        best = (point, value, gradient)
        for _ in range(_HALVINGS):
            trial = point + torch.where(wanted, size, 0)[:, None] * direction
            trial_value, trial_gradient = evaluate(trial)
            good = wanted & (trial_value <= value + _SUFFICIENT * size * slope)
            best = (
                torch.where(good[:, None], trial, best[0]),
                torch.where(good, trial_value, best[1]),
                torch.where(good[:, None], trial_gradient, best[2]),
            )
            wanted = wanted & ~good
            if not bool(wanted.any()):
                break
            size = size / 2
        step, change = best[0] - point, best[2] - gradient
        product = (step * change).sum(1)
        # Where the gradient has not changed there is nothing to learn; zeros leave it out.
        useful = product > torch.finfo(product.dtype).eps * change.square().sum(1)
        inverse = torch.where(useful, 1 / torch.where(useful, product, 1), 0)
        pairs = [*pairs[1 - _MEMORY :], (step, change, inverse)]
        moved = (step != 0).any(1)
        iterations = iterations + (going & moved)
        point, value, gradient = best
        # At a kink what was learnt before it misleads: forget it and try the gradient alone, once.
        pairs = [(s, c, torch.where(moved, i, 0)) for s, c, i in pairs]
        going = going & (moved | fresh.logical_not()) & (gradient.abs().sum(1) > tolerance)
        fresh = ~moved
    return point, iterations


def _direction(gradient: Tensor, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Minus the inverse Hessian's estimate times the gradient (the two-loop recursion)."""
    result = gradient
    shares = []
    for step, change, inverse in reversed(pairs):
        share = inverse * (step * result).sum(1)
        shares.append(share)
        result = result - share[:, None] * change
    if pairs:
        _, change, inverse = pairs[-1]
        squares = inverse * change.square().sum(1)
        result = (
            result * torch.where(squares > 0, 1 / torch.where(squares > 0, squares, 1), 1)[:, None]
        )
    for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        back = inverse * (change * result).sum(1)
        result = result + (share - back)[:, None] * step
    return -result
