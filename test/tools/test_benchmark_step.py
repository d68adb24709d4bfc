"""The benchmark of a training step: a run of the recipe's own configuration, in small."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from scipy.stats import binom
from tiny_training import TinyTraining

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "egs2/mini_multi/slm1/conf/mini"
ARMS = sorted(
    path.stem
    for path in CONF.glob("*.yaml")
    if not path.stem.startswith("pretrain") and "regularizers" in yaml.safe_load(path.read_text())
)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("step", ROOT / "tools/benchmark_step.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
def sft(tiny_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, finetuned with the recipe's sft.yaml, which freezes the projector."""
    directory = tmp_path_factory.mktemp("recipe") / "exp/mini/sft_s1"
    config = yaml.safe_load((CONF / "sft.yaml").read_text())
    short = {"max_epoch": 1, "num_iters_per_epoch": 1, "batch_size": 4, "regularizers": []}
    done = tiny_training.train(directory, config=config | short)
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
    training = tool.Training(sft, tool.arm_values(sft, CONF / "control.yaml"))
    trained = {name for name, p in training.model.named_parameters() if p.requires_grad}
    assert any(name.startswith("projector.") for name in trained)
    assert any("lora_" in name for name in trained)
    seen: dict[str, torch.Tensor] = {}
    training.model.register_forward_hook(lambda model, inputs, output: seen.update(output[1]))
    (batch,) = training.batches(1)
    losses = set()
    for name, regularizers in tool.read_contenders(CONF).items():
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
