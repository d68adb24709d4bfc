"""Every configuration of the recipes takes real optimiser steps: a tiny model, ten utterances."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from bad_input import ForkServer
from tiny_training import TinyTraining

from espnet_otreg.recipe.experiment import UPPER
from espnet_otreg.recipe.preset import Preset

EGS2 = Path(__file__).resolve().parents[2] / "egs2"
# Recipes of published corpora link to one preset; test_tuning.py takes the steps of conf/tuning,
# and a run of conf/search is the pretraining but for one key (test_experiment.py).
PRESETS = sorted(
    {
        path.parent.resolve()
        for path in EGS2.glob("*/slm1/conf/*/experiment.yaml")
        if path.parent.name not in ("tuning", "search")
    }
)
# What the recipe's steps would be too many of here, and batches as small as the data.
SHORT = {"max_epoch": "1", "num_iters_per_epoch": "2", "batch_size": "4", "num_workers": "0"}


def _runs() -> list[tuple[Path, str]]:
    """Runs that differ in more than in how long they train: a preset may extend another one."""
    found: dict[str, tuple[Path, str]] = {}
    for conf in PRESETS:
        preset = Preset(conf)
        for name in preset.runs:
            config = preset.config(name)
            kept = {k: v for k, v in config.items() if k not in {*SHORT, "scheduler_conf"}}
            place = conf.parent / name  # two runs of a preset are two runs
            found.setdefault(f"{place} {json.dumps(kept, sort_keys=True)}", (conf, name))
    return list(found.values())


RUNS = _runs()


def _name(value: object) -> str:
    return f"{value.parents[2].name}-{value.name}" if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("conf", "name"), RUNS, ids=_name)
def test_takes_steps(
    conf: Path,
    name: str,
    tiny_training: TinyTraining,
    fork_server: ForkServer,
    upper_training: TinyTraining,
    tmp_path: Path,
) -> None:
    values = Preset(conf).config(name)
    if values["encoder"] == UPPER:  # the recipe adds the model, and the layers that have run
        tiny_training = upper_training
        values["encoder_conf"] = {"model": str(tiny_training.root / "whisper"), "first": 4}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    short = [word for key, value in SHORT.items() for word in (f"--{key}", value)]
    _, _, module, _, _, *options = tiny_training.command(tmp_path / "exp", *short)
    done = fork_server(module.rpartition(".")[2], "--config", tmp_path / "config.yaml", *options)
    assert done.status == 0, done.stderr[-3000:]
    content = torch.load(tmp_path / "exp/checkpoint.pth", weights_only=False)
    seen = content["reporter"]["stats"][1]["train"]
    assert torch.isfinite(torch.tensor(float(seen["loss"])))
    for entry in values.get("regularizers", []):
        (regularizer,) = entry
        assert float(seen[f"{regularizer}_weighted"]) != 0
