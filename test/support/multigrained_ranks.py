"""The multi-grained contrast of a batch that several processes share, each with its own part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch.nn.parallel import DistributedDataParallel

from espnet_otreg.regularizers import AlignmentBatch, MultigrainedConfig
from espnet_otreg.regularizers.gather import gather_rows

Parts = Sequence[AlignmentBatch]  # one for each process


def make_projector(dim: int) -> torch.nn.Module:
    """What is trained; the same in every process."""
    torch.manual_seed(0)
    return torch.nn.Linear(dim, dim)


def loss_and_gradient(
    projector: torch.nn.Module, batch: AlignmentBatch, factor: float, **settings: Any
) -> dict[str, Any]:
    """``factor`` times the value, its gradient for the projector, and the statistics."""
    projector.zero_grad()
    projected = replace(batch, speech=projector(batch.speech.detach()))
    output = MultigrainedConfig(**settings).build()(projected)
    (factor * output.value).backward()
    gradients = [parameter.grad.clone() for parameter in projector.parameters()]
    return {
        "value": factor * output.value.detach(),
        "gradients": gradients,
        "statistics": output.statistics,
    }


def _work(rank: int, directory: Path, cases: dict[str, Parts], uneven: Sequence[Any]) -> None:
    count = len(uneven)
    dist.init_process_group(
        "gloo", init_method=f"file://{directory}/rendezvous", rank=rank, world_size=count
    )
    results: dict[str, Any] = {}
    for name, parts in cases.items():
        projector = DistributedDataParallel(make_projector(parts[rank].speech.shape[2]))
        utterances = sum(len(part.text_ids) for part in parts)
        # ESPnet's trainer multiplies by the number of processes, which DDP divides by.
        factor = count * len(parts[rank].text_ids) / utterances
        results[name] = loss_and_gradient(projector, parts[rank], factor)
    results["gathered"] = gather_rows(uneven[rank], padding=-1)
    results["nothing"] = gather_rows(torch.zeros(0, 3))
    torch.save(results, directory / f"{rank}.pt")
    dist.destroy_process_group()


def run_ranks(
    directory: Path, cases: dict[str, Parts], uneven: Sequence[torch.Tensor]
) -> list[dict[str, Any]]:
    """What every process found for every case, and for ``gather_rows`` of its ``uneven`` rows."""
    arguments = (directory, cases, uneven)
    torch.multiprocessing.spawn(_work, arguments, nprocs=len(uneven))
    paths = [directory / f"{rank}.pt" for rank in range(len(uneven))]
    return [torch.load(path, weights_only=False) for path in paths]
