"""Every configuration of the recipes takes real optimiser steps: a tiny model, ten utterances."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from bad_input import ForkServer
from tiny_training import TinyTraining

EGS2 = Path(__file__).resolve().parents[2] / "egs2"
# Recipes of published corpora link to one preset; test_tuning.py takes the steps of conf/tuning.
CONFIGS = sorted(
    {
        path.resolve()
        for path in EGS2.glob("*/slm1/conf/*/*.yaml")
        if path.stem != "llm" and path.parent.name != "tuning"
    }
)
# What the recipe's steps would be too many of here, and batches as small as the data.
SHORT = (
    "--max_epoch",
    "1",
    "--num_iters_per_epoch",
    "2",
    "--batch_size",
    "4",
    "--num_workers",
    "0",
)


def _name(path: Path) -> str:
    return f"{path.parents[3].name}-{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", CONFIGS, ids=_name)
def test_takes_steps(
    path: Path, tiny_training: TinyTraining, fork_server: ForkServer, tmp_path: Path
) -> None:
    _, _, name, _, _, *options = tiny_training.command(tmp_path / "exp", *SHORT)
    done = fork_server(name.rpartition(".")[2], "--config", path, *options)
    assert done.status == 0, done.stderr[-3000:]
    content = torch.load(tmp_path / "exp/checkpoint.pth", weights_only=False)
    seen = content["reporter"]["stats"][1]["train"]
    assert torch.isfinite(torch.tensor(float(seen["loss"])))
    for entry in yaml.safe_load(path.read_text()).get("regularizers", []):
        (regularizer,) = entry
        assert float(seen[f"{regularizer}_weighted"]) != 0
