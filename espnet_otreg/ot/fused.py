"""Sinkhorn's iterations on a GPU in one launch, by Triton where it is there."""

from __future__ import annotations

import functools
import importlib.util
import warnings

import torch
from torch import Tensor

from espnet_otreg.ot.kernel_domain import LOOK_EVERY, iterate_in_kernel_domain
from espnet_otreg.ot.log_domain import Iterate, LogUpdates
from espnet_otreg.ot.problem import TransportProblem, make_problem

# Entries of a padded matrix, such as 256 x 64, up to which it stays in registers: in two layouts
# that is half of the 2^16 registers of a multiprocessor, and the other half is needed to work
# with. Compiled for sm_80 and sm_90 the loop of iterations then spills none.
_RESIDENT = 2**14
# Entries of a resident matrix for each thread, in each layout, until there are 8 warps.
_ENTRIES_PER_THREAD = 32
_THREADS_PER_WARP = 32
# Sizes are padded to powers of two from here on.
_SMALLEST = 16
# A tile of a larger matrix: entries summed, and entries kept with a thread for each.
_TILE = (32, 128)
# The smallest sizes, more or less, that try both kernels with all their loops, and a tolerance that
# one of the three problems has not reached when it is looked at first.
_TRIALS = ((2, 20, 9), (1, 150, 130))
_TRIAL_TOLERANCE = 0.01


def _padded(size: int) -> int:
    return max(_SMALLEST, 1 << (size - 1).bit_length())


def _agrees(shape: tuple[int, int, int], device: torch.device) -> bool:
    """Whether both ways lead to the same potentials of one trial batch (B, S, T)."""
    cost = torch.arange(torch.Size(shape).numel(), device=device).view(shape).sin().abs()
    cost[:, : shape[1] // 3, 1] = torch.inf  # of a streamed matrix, more than a tile
    states = []
    # PyTorch in float64, which no setting of its float32 products changes.
    for dtype, way in ((torch.float32, iterate_fused), (torch.float64, iterate_in_kernel_domain)):
        problem = make_problem(cost.to(dtype), None, None, None, None, (False, False))
        start = torch.zeros_like(problem.target)
        states.append(way(problem, 0.1, (1.0, 0.8), start, 2 * LOOK_EVERY, _TRIAL_TOLERANCE))
    found, expected = states
    return torch.equal(found.iterations, expected.iterations) and all(
        torch.allclose(getattr(found, name).double(), getattr(expected, name), rtol=0, atol=1e-4)
        for name in ("u", "v", "residual")
    )


@functools.cache
def _agrees_on(device: torch.device) -> bool:
    """Whether Triton is installed and solves trial problems on a device as PyTorch does.

    Installed is not enough: it needs a C compiler where it runs and a GPU it knows, and what it
    compiles there is compared with PyTorch on a trial problem. Once for each device and process.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    reason = "its results differ from PyTorch's"
    try:
        if all(_agrees(shape, device) for shape in _TRIALS):
            return True
    except Exception as error:  # what can go wrong is the affair of compiler and driver
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(f"transport on {device} does without Triton: {reason}", stacklevel=3)
    return False


def is_fused(cost: Tensor) -> bool:
    """Whether the iterations for a cost (B, S, T) are made by :func:`iterate_fused`.

    >>> is_fused(torch.zeros(1, 2, 3))  # not on a GPU
    False
    """
    suits = cost.is_cuda and cost.dtype == torch.float32 and cost.numel() > 0
    # Within a problem the kernels count in 32 bits.
    return suits and cost[0].numel() < 2**31 and _agrees_on(cost.device)


@torch.no_grad()
def iterate_fused(
    problem: TransportProblem,
    epsilon: float,
    damping: tuple[float, float],
    v: Tensor,
    max_iterations: int,
    tolerance: float,
) -> Iterate:
    """The iterations of :func:`iterate_in_kernel_domain` for float32 problems with S, T > 0.

    One launch without synchronisation: each problem stops on its own. The residual is looked at
    after the same iterations, so that the results are the same up to rounding.
    """
    from espnet_otreg.ot import fused_kernel  # Triton is optional

    batch, sources, targets = problem.cost.shape
    by_source = LogUpdates(problem, epsilon).scores.contiguous()
    # The kernels write the potentials, and start from those of the targets.
    u = torch.empty_like(problem.source, memory_format=torch.contiguous_format)
    v = torch.where(problem.target > 0, v, 0).contiguous()
    residual = v.new_empty(batch)
    iterations = torch.empty_like(residual, dtype=torch.int64)
    sizes = _padded(sources), _padded(targets)
    entries = sizes[0] * sizes[1]
    if entries <= _RESIDENT:
        kernel = fused_kernel.iterate_resident
        threads = min(entries // _ENTRIES_PER_THREAD, 8 * _THREADS_PER_WARP)
    else:
        kernel, sizes, threads = fused_kernel.iterate_streaming, _TILE, _TILE[1]
    with torch.cuda.device_of(by_source):
        kernel[(batch,)](
            by_source,
            by_source.mT.contiguous(),
            problem.log_source.contiguous(),
            problem.log_target.contiguous(),
            problem.source.contiguous(),
            u,
            v,
            residual,
            iterations,
            sources,
            targets,
            *damping,
            max_iterations,
            LOOK_EVERY if tolerance > 0 else max_iterations,
            float(tolerance),
            *sizes,
            num_warps=max(1, threads // _THREADS_PER_WARP),
        )
    u = torch.where(problem.source > 0, u, 0)
    return Iterate(u, torch.where(problem.target > 0, v, 0), residual, iterations)
