"""Two nodes through ESPnet's launcher and srun, compared with one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_input import ROOT, ForkServer
from slurm_cluster import SLURM_PL, Cluster, wait_for
from tiny_training import TinyTraining, make_tiny_training

# Nothing is drawn at random, and a batch of five or six leaves the two nodes unequal parts. Ten
# steps of SGD, in two epochs.
DETERMINISTIC = {
    "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4, "dropout": 0.0},
    "llm_conf": {"adapter": "lora", "lora_rank": 2, "lora_dropout": 0.0},
    "optim": "sgd",
    "optim_conf": {"lr": 0.1},
    "batch_size": 5,
    "num_iters_per_epoch": 5,
    "max_epoch": 2,
    "train_dtype": "float64",
}


@pytest.fixture(scope="module")
def double_training(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> TinyTraining:
    """A training whose LLM is in float64 too: it keeps the dtype of its checkpoint."""
    from transformers import AutoModelForCausalLM

    training = make_tiny_training(tmp_path_factory.mktemp("double"), fork_server)
    llm = AutoModelForCausalLM.from_pretrained(training.llm)
    llm.double().save_pretrained(training.llm)
    return training


@pytest.fixture(scope="module")
def one_process(double_training: TinyTraining) -> dict[str, torch.Tensor]:
    """The parameters that one process trains."""
    output = double_training.root / "one"
    alone = double_training.train(output, config=DETERMINISTIC)
    assert alone.returncode == 0, alone.stderr[-2000:]
    trained = parameters(output, "checkpoint.pth")
    first_epoch = torch.load(output / "1epoch.pth")
    assert all(value.dtype == torch.float64 for value in trained.values())
    # Every parameter moves further than the two trainings may differ, most of them much further.
    moved = sorted(float((trained[key] - first_epoch[key]).abs().max()) for key in trained)
    assert moved[0] > 5e-8 and moved[len(moved) // 2] > 1e-4
    return trained


def parameters(directory: Path, name: str) -> dict[str, torch.Tensor]:
    content: dict[str, Any] = torch.load(directory / name, weights_only=False)
    return content["model"]


def launch(cluster: Cluster, directory: Path, *command: str) -> subprocess.Popen[str]:
    """``command`` on two nodes; the job is named like the directory."""
    wrapper = " ".join([*SLURM_PL, "--name", directory.name])
    words = [
        sys.executable, "-m", "espnet2.bin.launch", "--cmd", wrapper, "--ngpu", "0",
        "--num_nodes", "2", "--log", f"{directory}/train.log",
        "--init_file_prefix", f"{directory}/.init_", "--", *command,
    ]  # fmt: skip
    environment = {**cluster.environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def succeed(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors[-4000:]


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-8, msg=key)


@pytest.mark.timeout(600)
def test_two_nodes_train_like_one_process(
    cluster: Cluster, double_training: TinyTraining, one_process: dict[str, torch.Tensor]
) -> None:
    output = double_training.root / "two"
    succeed(launch(cluster, output, *double_training.command(output, config=DETERMINISTIC)))
    assert ":0/2]" in (output / "train.log").read_text()  # the first of two processes
    assert_equal(parameters(output, "checkpoint.pth"), one_process)


@pytest.mark.timeout(600)
def test_a_requeued_training_of_two_nodes_goes_on_by_itself(
    cluster: Cluster, double_training: TinyTraining
) -> None:
    # So many epochs that Slurm reaches it before the last one, so slow that rounding stays small.
    config = {**DETERMINISTIC, "optim_conf": {"lr": 0.01}, "max_epoch": 20}
    undisturbed = double_training.train(double_training.root / "twenty", config=config)
    assert undisturbed.returncode == 0, undisturbed.stderr[-2000:]
    output = double_training.root / "requeued"
    command = double_training.command(output, "--resume", "true", config=config)
    process = launch(cluster, output, *command)
    wait_for((output / "1epoch.pth").exists, "the first epoch", seconds=300)
    job = cluster.job_named("requeued")
    cluster.control("requeue", job)
    cluster.start_again(job)
    succeed(process)
    log = (output / "train.log").read_text()
    assert log.count("# Started at ") == 2 and "The training was resumed" in log
    expected = parameters(double_training.root / "twenty", "checkpoint.pth")
    assert_equal(parameters(output, "checkpoint.pth"), expected)


@pytest.mark.timeout(600)
def test_usr1_saves_a_training_of_two_nodes_in_the_middle_of_its_epoch(
    cluster: Cluster, double_training: TinyTraining
) -> None:
    # Long enough for Slurm to reach it, so slow that 100 steps do not blow rounding up.
    config = {**DETERMINISTIC, "optim_conf": {"lr": 0.01}, "num_iters_per_epoch": 100}
    config |= {"max_epoch": 1, "log_interval": 1}
    undisturbed = double_training.train(double_training.root / "long", config=config)
    assert undisturbed.returncode == 0, undisturbed.stderr[-2000:]
    output = double_training.root / "saved"
    log = output / "train.log"
    command = double_training.command(output, "--resume", "true", config=config)
    process = launch(cluster, output, *command)
    wait_for(lambda: log.exists() and "1epoch:train:2-2batch" in log.read_text(), "two steps", 300)
    job = cluster.job_named("saved")
    cluster.ask("scancel", "--batch", "--signal=USR1", job)
    wait_for(lambda: "# Ended" in log.read_text(), "the end of the first run")
    assert "1epoch:train:100-100batch" not in log.read_text()
    cluster.start_again(job)
    succeed(process)
    assert "goes on after batch" in log.read_text()
    expected = parameters(double_training.root / "long", "checkpoint.pth")
    assert_equal(parameters(output, "checkpoint.pth"), expected)


def test_a_failing_rank_is_status_1_and_equal_ranks_are_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    for name, status in (("all_well", "0"), ("rank_one_fails", "rank")):
        program = f"""import os, sys
rank = int(os.environ["SLURM_PROCID"])
open(f"{tmp_path}/{name}{{rank}}", "w").write(os.environ["SLURMD_NODENAME"])
sys.exit({status})"""
        process = launch(cluster, tmp_path / name, sys.executable, "-c", program)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == (0 if status == "0" else 1), errors
        assert [(tmp_path / f"{name}{rank}").read_text() for rank in (0, 1)] == ["n1", "n2"]
    assert "Exited with exit code 1" in errors
    assert os.path.exists(tmp_path / "rank_one_fails/train.log")
