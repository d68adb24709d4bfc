"""Every configuration of the recipes takes real optimiser steps: a tiny model, ten utterances."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from bad_input import ForkServer
from tiny_training import TinyTraining

from espnet_otreg.recipe.preset import Preset

EGS2 = Path(__file__).resolve().parents[2] / "egs2"
# Recipes of published corpora link to one preset; test_tuning.py takes the steps of conf/tuning.
PRESETS = sorted(
    {
        path.parent.resolve()
        for path in EGS2.glob("*/slm1/conf/*/experiment.yaml")
        if path.parent.name != "tuning"
    }
)
RUNS = [(conf, name) for conf in PRESETS for name in Preset(conf).runs]
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


def _name(value: object) -> str:
    return f"{value.parents[2].name}-{value.name}" if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("conf", "name"), RUNS, ids=_name)
def test_takes_steps(
    conf: Path, name: str, tiny_training: TinyTraining, fork_server: ForkServer, tmp_path: Path
) -> None:
    values = Preset(conf).config(name)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    _, _, module, _, _, *options = tiny_training.command(tmp_path / "exp", *SHORT)
    done = fork_server(module.rpartition(".")[2], "--config", tmp_path / "config.yaml", *options)
    assert done.status == 0, done.stderr[-3000:]
    content = torch.load(tmp_path / "exp/checkpoint.pth", weights_only=False)
    seen = content["reporter"]["stats"][1]["train"]
    assert torch.isfinite(torch.tensor(float(seen["loss"])))
    for entry in values.get("regularizers", []):
        (regularizer,) = entry
        assert float(seen[f"{regularizer}_weighted"]) != 0
