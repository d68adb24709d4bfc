"""Whisper's upper half trained on cached features, in bfloat16, then frozen by a training after."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from data_dir import write_data_dir
from tiny_llm import SENTENCES
from tiny_training import TinyTraining, checkpoint

from espnet_otreg.features.extraction import extract_features
from espnet_otreg.files import read_json

LENGTHS = [0.6, 0.9, 1.3, 0.7, 1.0, 0.8, 1.1, 1.2]


@pytest.fixture(scope="module")
def layer_one(
    tiny_training: TinyTraining, tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory
) -> TinyTraining:
    """A training that reads the tiny Whisper's first layer."""
    root = tmp_path_factory.mktemp("layer_one")
    for kind in ("train", "valid"):
        data = write_data_dir(root / f"raw_{kind}", LENGTHS)
        keys = [line.split()[0] for line in (data / "text").read_text().splitlines()]
        texts = (SENTENCES["it"] * len(keys))[: len(keys)]
        lines = (f"{key} {text}\n" for key, text in zip(keys, texts, strict=True))
        (data / "text").write_text("".join(lines))
        extract_features(str(data), str(root / kind), str(tiny_whisper), layer=1)
        shapes = (f"{k} {round(50 * s) + 25},32\n" for k, s in zip(keys, LENGTHS, strict=True))
        (root / kind / "speech_shape").write_text("".join(shapes))
    return dataclasses.replace(tiny_training, root=root)


def config(whisper: Path, **more: Any) -> dict[str, Any]:
    return {
        "encoder": "hf_whisper_upper",
        "encoder_conf": {"model": str(whisper), "first": 1},
        "lr_scale": {"^encoder[.]": 0.5},
        "model_conf": {"cross_entropy_weight": 0.0},
        "regularizers": [{"ctc": {"weight": 1.0}}],
        "batch_type": "numel",
        "batch_bins": 10_000,
        "batch_jitter": 0.2,
        "max_epoch": 3,
        **more,
    }


def losses(directory: Path) -> list[float]:
    epochs = checkpoint(directory)["reporter"]["stats"]
    return [epochs[epoch][kind]["loss"] for epoch in sorted(epochs) for kind in ("train", "valid")]


def test_bfloat16_learns_as_float32_does(
    layer_one: TinyTraining, tiny_whisper: Path, tmp_path: Path
) -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        given = config(tiny_whisper, precision=precision)
        run = layer_one.train(tmp_path / precision, config=given)
        assert run.returncode == 0, run.stderr[-2000:]
        found[precision] = torch.tensor(losses(tmp_path / precision))
    torch.testing.assert_close(found["bfloat16"], found["float32"], rtol=0.02, atol=0)
    assert not torch.equal(found["bfloat16"], found["float32"])
    assert found["float32"][-1] < 0.9 * found["float32"][0]


def test_a_frozen_half_keeps_what_it_has_learnt(
    layer_one: TinyTraining, tiny_whisper: Path, tmp_path: Path
) -> None:
    first, after = tmp_path / "pretrain", tmp_path / "sft"
    run = layer_one.train(first, config=config(tiny_whisper, precision="auto"))
    assert run.returncode == 0, run.stderr[-2000:]
    chosen = read_json(first / "precision.json")
    assert f"precision: {chosen['dtype']} with" in run.stderr
    learnt = {k: v for k, v in checkpoint(first)["model"].items() if k.startswith("encoder.")}
    assert {key.split(".")[1] for key in learnt} == {"tuned", "norm"}
    frozen = config(tiny_whisper, freeze=["^encoder[.]"])
    run = layer_one.train(after, "--init_param", str(first / "latest.pth"), config=frozen)
    assert run.returncode == 0, run.stderr[-2000:]
    kept = checkpoint(after)["model"]
    for key, value in learnt.items():
        assert torch.equal(kept[key], value), key
    assert not torch.equal(kept["projector.gain"], checkpoint(first)["model"]["projector.gain"])


def test_features_of_another_layer_are_refused(
    layer_one: TinyTraining, tiny_whisper: Path, tmp_path: Path
) -> None:
    given = config(tiny_whisper, encoder_conf={"model": str(tiny_whisper), "first": 2})
    run = layer_one.train(tmp_path / "exp", config=given)
    assert run.returncode == 1 and run.stderr.count("\n") == 1
    assert "features of layer 1, but encoder_conf.first is 2" in run.stderr
