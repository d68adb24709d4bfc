"""The benchmarks of a training step: a run of the recipe's own configuration, in small."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from scipy.stats import binom
from tiny_experiment import MINI, plan_mini
from tiny_training import TinyTraining

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.recipe.preset import Preset

ROOT = Path(__file__).resolve().parents[2]
PRESET = Preset(MINI)
ARMS = sorted(
    name for name in PRESET.runs if PRESET.stage(name) == "train_arms" and name != "control"
)


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        yield importlib.import_module("benchmark_step")


@pytest.fixture(scope="module")
def scaling(tool: ModuleType) -> ModuleType:
    return importlib.import_module("benchmark_scaling")


@pytest.fixture
def run_tool(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """``run_tool("--rounds", 2)``: what the command line prints."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()

    def run(*options: object) -> str:
        monkeypatch.setattr("sys.argv", ["benchmark_step.py", *map(str, options)])
        tool.main()
        return capsys.readouterr().out

    monkeypatch.chdir(Path.cwd())  # so that the directory is put back
    yield run
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


@pytest.fixture(scope="module")
def sft(upper_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, finetuned as the preset mini says, which freezes encoder and projector."""
    directory = tmp_path_factory.mktemp("recipe") / "exp/mini/sft_s1"
    plan_mini(directory.parent, arms=["control", *ARMS])
    encoder = {"model": str(upper_training.root / "whisper"), "first": 4}
    config = PRESET.config("sft") | {"encoder_conf": encoder}
    short = {"max_epoch": 1, "num_iters_per_epoch": 1, "batch_size": 4, "regularizers": []}
    done = upper_training.train(directory, config=config | short)
    assert done.returncode == 0, done.stderr[-3000:]
    return directory


def test_one_table_has_the_control_and_every_arm(
    run_tool: Callable[..., str], sft: Path, tmp_path: Path
) -> None:
    before = sorted(sft.rglob("*"))
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in run_tool(
            "--model", sft, "--rounds", 2, "--json", tmp_path / "times.json"
        ).splitlines()
        if line.startswith("| ")
    ]
    rows = {row[0]: row[1:] for row in cells[1:]}
    assert set(ARMS) >= {"otreg", "otreg_ctc"} and sorted(rows) == sorted(["control", *ARMS])
    assert float(rows["control"][0]) > 0 and set(rows["control"][1:]) == {"-"}
    for arm in ARMS:
        step, ratio, interval, _, alone, share = rows[arm]
        low, high = map(float, interval.split(" to "))
        assert 0 < low <= float(ratio) <= high and float(step) > 0
        # A regularizer that was left out would take some microseconds.
        assert float(alone) >= 0.1 and float(share) > 0
    figures = read_json(tmp_path / "times.json")["arms"]
    assert {arm: f"{figures[arm]['ratio']:.3f}" for arm in ARMS} == {a: rows[a][1] for a in ARMS}
    assert sorted(sft.rglob("*")) == before


def test_the_model_trains_as_the_arms_do_and_stays_what_it_is(tool: ModuleType, sft: Path) -> None:
    training = tool.Training(tool.arm_values(sft, tool.arms_of(sft)[0]), sft)
    trained = {name for name, p in training.model.named_parameters() if p.requires_grad}
    assert any(name.startswith("projector.") for name in trained)
    assert any("lora_" in name for name in trained)
    seen: dict[str, torch.Tensor] = {}
    training.model.register_forward_hook(lambda model, inputs, output: seen.update(output[1]))
    (batch,) = training.batches(1)
    losses = set()
    for name, regularizers in tool.read_contenders(tool.arms_of(sft)).items():
        seen.clear()
        torch.manual_seed(0)
        assert training.step(batch, regularizers) > 0
        weighted = {key: float(value) for key, value in seen.items() if key.endswith("_weighted")}
        assert set(weighted) == {f"{regularizer.name}_weighted" for regularizer in regularizers}
        assert all(weighted.values()) and bool(weighted) == (name != "control")
        losses.add(float(seen["ce"]))
    assert len(losses) == 1  # the same masks, the same weights
    saved = torch.load(sft / "1epoch.pth")
    state = training.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in saved.items())


def test_the_interval_covers_the_median_as_often_as_it_says(tool: ModuleType) -> None:
    assert tool.median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    for count in (9, 20, 60, 61, 500):
        low, high = tool.median_interval(range(count))
        # Missed if at most `low` values fall on one side of the median, each with a half.
        missed = binom.cdf(low, count, 0.5) + binom.cdf(count - 1 - high, count, 0.5)
        assert 0.03 < missed < 0.06, count


def test_rounds_that_make_no_sense(run_tool: Callable[..., str], sft: Path) -> None:
    with pytest.raises(UserError, match="--rounds 0: expected at least 1"):
        run_tool("--model", sft, "--rounds", 0)


def test_a_point_of_another_size_is_measured(scaling: ModuleType, sft: Path) -> None:
    points = [scaling.run_point(sft, (32, layers, 2), 1) for layers in (1, 3)]
    assert points[1]["activations"] == 3 * points[0]["activations"] > 0
    # Two more layers of the Llama layout: four attention matrices, three of the MLP, two norms.
    width, wide = 32, 32 * 21 // 8
    layer = 4 * width * width + 3 * width * wide + 2 * width
    assert points[1]["frozen"] - points[0]["frozen"] == 2 * layer
    # Every frozen matrix is used once forward and once for the gradient of its input.
    positions = points[0]["activations"] / width
    assert points[1]["operations"] - points[0]["operations"] > 2 * 4 * layer * positions
    for point in points:
        assert point["seconds"] > 0 and point["bytes"] >= 0 and point["speech_seconds"] > 0


def test_a_law_that_holds_is_found_and_extrapolated(scaling: ModuleType) -> None:
    points = []
    for n, _ in enumerate(scaling.POINTS, start=1):
        point = {"operations": 1e9 * n * n, "activations": 1e6 * n, "frozen": 5e6 * n,
                 "trained": 2e6, "speech_seconds": 36.0}  # fmt: skip
        point["seconds"] = 0.5 + 0.02 * point["operations"] / 1e9
        point["bytes"] = 3e7 + 40 * point["activations"] + 4 * point["frozen"] + 16 * 2e6
        points.append(point)
    text = scaling.report(points, hours=100.0, processes=[1, 4], bandwidth=1e8)
    assert "seconds = 0.500 + 0.0200 * G operations (largest error 0 %)" in text
    assert "MB = 30 + 40 bytes * positions * width * layers" in text
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, flags=re.MULTILINE))
    step = 0.5 + 0.02 * len(points) ** 2  # 1.78 s for 36 s of speech
    assert rows["1"] == f"0.0 | {step:.2f} | {100 / 36 * step:.1f} | 100 %"
    # A ring of four sends three halves of the gradients' 8 MB.
    assert rows["4"].startswith(f"12.0 | {step + 0.12:.2f} | ")
