"""Sinkhorn's iterations in the log domain, one Triton program for each problem of a batch.

The only module here that imports Triton, and itself imported only where Triton is to run. Both
kernels read the scores ``-C / epsilon`` in two layouts, each time with the side that a sum leaves
over along the threads: a thread then sums its own entries, and little has to cross threads.

The log domain rather than the scalings of ``kernel_domain.py``: those save exponentials, which are
cheap on a GPU, and would have to leave their loop and make kernels anew at a small epsilon.

What Triton compiles is not always what its interpreter does: no variable that a ``while`` changes
may start as another one's value, or the compiler takes it for a constant.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Specialised on no number: sizes differ from batch to batch, and a new pattern of what 16 divides
# would be compiled again.
_NUMBERS = ["sources", "targets", "max_iterations", "every"]


@triton.jit
def _vector(start: tl.tensor, at: tl.tensor, size: tl.tensor, other: tl.constexpr) -> tl.tensor:
    return tl.load(start + at, at < size, other)


@triton.jit
def _tile(
    scores: tl.tensor, rows: tl.tensor, columns: tl.tensor, height: tl.tensor, width: tl.tensor
) -> tl.tensor:
    """Entries of a matrix of scores, 0 outside of it, where the masses are 0 as well."""
    inside = (rows < height)[:, None] & (columns < width)[None, :]
    return tl.load(scores + rows[:, None] * width + columns[None, :], inside, 0.0)


@triton.jit
def _update(tile: tl.tensor, weights: tl.tensor, damping: tl.tensor) -> tl.tensor:
    """Potentials ``-s log sum_i exp(tile_ij + weights_i)``."""
    weighted = tile + weights[:, None]
    largest = tl.max(weighted, 0)
    return -damping * (largest + tl.log(tl.sum(tl.exp(weighted - largest[None, :]), 0)))


@triton.jit
def _moved(u: tl.tensor, next_u: tl.tensor, mass: tl.tensor) -> tl.tensor:
    """Mass that the next source update moves, as ``residual_of`` in ``log_domain.py`` sums it."""
    return tl.where(mass > 0, mass * tl.abs(tl.exp(u - next_u) - 1), 0.0)


@triton.jit(do_not_specialize=_NUMBERS)
def iterate_resident(
    by_source: tl.tensor,
    by_target: tl.tensor,
    log_source: tl.tensor,
    log_target: tl.tensor,
    source: tl.tensor,
    found_u: tl.tensor,
    found_v: tl.tensor,
    found_residual: tl.tensor,
    found_iterations: tl.tensor,
    sources: tl.tensor,
    targets: tl.tensor,
    source_damping: tl.tensor,
    target_damping: tl.tensor,
    max_iterations: tl.tensor,
    every: tl.tensor,
    tolerance: tl.tensor,
    SOURCES: tl.constexpr,
    TARGETS: tl.constexpr,
) -> None:
    """Solve a problem with its scores in registers from the first iteration to the last.

    Args:
        by_source, by_target: (B, S, T) and (B, T, S) scores, contiguous; -inf where a pair of the
            support is forbidden, finite off the support.
        log_source, log_target, source: (B, S), (B, T), (B, S), as in ``TransportProblem``.
        found_u, found_residual, found_iterations: (B, S), (B,), (B,) int64, written.
        found_v: (B, T) target potentials to start from, finite; overwritten by those found.
        sources, targets: S and T.
        source_damping, target_damping: 1 where a marginal is exact.
        max_iterations: at least 1.
        every: iterations between two looks at the residual.
        tolerance: residual at which to stop.
        SOURCES, TARGETS: powers of two, at least S and T.
    """
    problem = tl.program_id(0).to(tl.int64)
    rows = tl.arange(0, SOURCES)
    columns = tl.arange(0, TARGETS)
    found_u += problem * sources
    found_v += problem * targets
    mass = _vector(source + problem * sources, rows, sources, 0.0)
    log_a = _vector(log_source + problem * sources, rows, sources, -float("inf"))
    log_b = _vector(log_target + problem * targets, columns, targets, -float("inf"))
    v = _vector(found_v, columns, targets, 0.0)
    matrix = problem * sources * targets
    to_source = _tile(by_target + matrix, columns, rows, targets, sources)
    to_target = _tile(by_source + matrix, rows, columns, sources, targets)
    u = _update(to_source, log_b + v, source_damping)
    taken = 0
    stop = max_iterations
    residual = tl.full([], float("inf"), tl.float32)
    while taken < stop:
        taken += 1
        v = _update(to_target, log_a + u, target_damping)
        next_u = _update(to_source, log_b + v, source_damping)
        if (taken % every == 0) | (taken == max_iterations):
            residual = tl.sum(_moved(u, next_u, mass), 0)
            stop = tl.where(residual <= tolerance, 0, max_iterations)  # NaN is not within it
        u = tl.where(taken < stop, next_u, u)
    tl.store(found_u + rows, u, rows < sources)
    tl.store(found_v + columns, v, columns < targets)
    tl.store(found_residual + problem, residual)
    tl.store(found_iterations + problem, taken)


@triton.jit
def _streamed_update(
    scores: tl.tensor,
    log_mass: tl.tensor,
    potentials: tl.tensor,
    size: tl.tensor,
    kept: tl.tensor,
    kept_size: tl.tensor,
    damping: tl.tensor,
    SUMMED: tl.constexpr,
) -> tl.tensor:
    """Potentials of the entries ``kept`` of one side, from all of the other side, ``size`` many."""
    largest = tl.full(kept.shape, -float("inf"), tl.float32)
    total = tl.zeros(kept.shape, tl.float32)
    for start in range(0, size, SUMMED):
        summed = start + tl.arange(0, SUMMED)
        log = _vector(log_mass, summed, size, -float("inf"))
        if tl.max(log, 0) > -float("inf"):  # padding is not read
            weights = log + _vector(potentials, summed, size, 0.0)
            weighted = _tile(scores, summed, kept, size, kept_size) + weights[:, None]
            larger = tl.maximum(largest, tl.max(weighted, 0))
            # Nothing but forbidden pairs so far: -inf less -inf would be NaN.
            shift = tl.where(larger == -float("inf"), 0.0, larger)
            total *= tl.exp(largest - shift)
            total += tl.sum(tl.exp(weighted - shift[None, :]), 0)
            largest = larger
    return -damping * (largest + tl.log(total))


@triton.jit(do_not_specialize=_NUMBERS)
def iterate_streaming(
    by_source: tl.tensor,
    by_target: tl.tensor,
    log_source: tl.tensor,
    log_target: tl.tensor,
    source: tl.tensor,
    found_u: tl.tensor,
    found_v: tl.tensor,
    found_residual: tl.tensor,
    found_iterations: tl.tensor,
    sources: tl.tensor,
    targets: tl.tensor,
    source_damping: tl.tensor,
    target_damping: tl.tensor,
    max_iterations: tl.tensor,
    every: tl.tensor,
    tolerance: tl.tensor,
    SUMMED: tl.constexpr,
    KEPT: tl.constexpr,
) -> None:
    """Solve a problem of any size, reading its scores anew, in tiles, for each update.

    Args:
        SUMMED, KEPT: of a tile, powers of two; a thread for each kept entry leaves no sum that
            crosses threads.
        All others: see :func:`iterate_resident`.
    """
    problem = tl.program_id(0).to(tl.int64)
    by_source += problem * sources * targets
    by_target += problem * sources * targets
    log_source += problem * sources
    log_target += problem * targets
    source += problem * sources
    found_u += problem * sources
    found_v += problem * targets
    taken = 0
    stop = max_iterations
    while taken < stop:
        taken += 1
        for start in range(0, sources, KEPT):
            rows = start + tl.arange(0, KEPT)
            u = _streamed_update(
                by_target, log_target, found_v, targets, rows, sources, source_damping, SUMMED
            )
            tl.store(found_u + rows, u, rows < sources)
        tl.debug_barrier()  # what one thread has stored others load
        for start in range(0, targets, KEPT):
            columns = start + tl.arange(0, KEPT)
            v = _streamed_update(
                by_source, log_source, found_u, sources, columns, targets, target_damping, SUMMED
            )
            tl.store(found_v + columns, v, columns < targets)
        tl.debug_barrier()
        if (taken % every == 0) | (taken == max_iterations):
            moved = tl.zeros([KEPT], tl.float32)
            for start in range(0, sources, KEPT):
                rows = start + tl.arange(0, KEPT)
                next_u = _streamed_update(
                    by_target, log_target, found_v, targets, rows, sources, source_damping, SUMMED
                )
                mass = _vector(source, rows, sources, 0.0)
                moved += _moved(_vector(found_u, rows, sources, 0.0), next_u, mass)
            residual = tl.sum(moved, 0)
            tl.store(found_residual + problem, residual)
            stop = tl.where(residual <= tolerance, 0, max_iterations)
            tl.debug_barrier()
    tl.store(found_iterations + problem, taken)
