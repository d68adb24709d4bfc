"""Rows of a batch that is spread over the processes of a distributed training."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def gather_rows(rows: Tensor, padding: float = 0) -> tuple[Tensor, slice]:
    """The rows of all processes, by rank; in one process just the rows.

    Only a process's own rows carry a gradient, so that backward needs no communication: where each
    process takes the gradient of a sum over *all* rows, the sum of their gradients is the one that
    a single process would find. Every process has to call this, be it with no row at all.

    Args:
        rows: (N, W); N may differ between processes, and so may W.
        padding: fills the rows of processes with a smaller W.

    Returns:
        (sum of N, largest W), and where this process's own rows are.

    >>> gather_rows(torch.tensor([[1, 2], [3, 4]]))
    (tensor([[1, 2],
            [3, 4]]), slice(0, 2, None))
    """
    if not (dist.is_available() and dist.is_initialized()):
        return rows, slice(0, len(rows))
    own = torch.tensor(rows.shape, device=rows.device)
    sizes = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, own)
    counts, widths = torch.stack(sizes).T.tolist()
    rows = F.pad(rows, (0, max(widths) - rows.shape[1]), value=padding)
    filled = F.pad(rows.detach(), (0, 0, 0, max(counts) - len(rows))).contiguous()
    parts = [torch.empty_like(filled) for _ in counts]
    dist.all_gather(parts, filled)
    kept = [part[:count] for part, count in zip(parts, counts, strict=True)]
    rank = dist.get_rank()
    kept[rank] = rows
    start = sum(counts[:rank])
    return torch.cat(kept), slice(start, start + len(rows))
