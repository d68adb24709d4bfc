"""Trainings that are killed, stopped or damaged, and go on as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_input import ROOT, Outcome, assert_refused
from tiny_training import TinyTraining, checkpoint, same

from espnet_otreg.tasks.recovery import repair

EPOCHS = 5
# All that draws random numbers or has a past: dropout, SpecAug, a scheduler, an accumulation that
# an epoch leaves unfinished, a regularizer that remembers the start and one that warms up; and
# rates of parts, products in bfloat16 and batches that are drawn anew.
CONFIG: dict[str, Any] = {
    "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4, "dropout": 0.1},
    "llm_conf": {"adapter": "lora", "lora_rank": 2, "lora_dropout": 0.1},
    "specaug": "specaug",
    "specaug_conf": {"apply_time_warp": True, "time_warp_window": 5, "freq_mask_width_range": 3,
                     "num_time_mask": 2, "time_mask_width_range": 4},
    "regularizers": [{"otreg": {"weight": 0.3, "start_step": 2}}, {"ctc": {"weight": 0.3}},
                     {"monge_gap": {"weight": 1.0}}],
    "scheduler": "warmuplr",
    "scheduler_conf": {"warmup_steps": 4},
    "accum_grad": 2,
    "lr_scale": {"^llm[.]": 1.5},
    "precision": "bfloat16",
    "batch_jitter": 0.1,
}  # fmt: skip
OPTIONS = ("--max_epoch", str(EPOCHS), "--resume", "true")
CRITERIA = [["valid", "loss", "min"]]


@pytest.fixture(scope="module")
def undisturbed(tiny_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training in one go."""
    directory = tmp_path_factory.mktemp("undisturbed") / "exp"
    run = tiny_training.train(directory, *OPTIONS, config=CONFIG)
    assert run.returncode == 0, run.stderr[-2000:]
    return directory


def models_and_links(directory: Path) -> dict[str, str]:
    """The names of all models, and where links lead to."""
    return {p.name: os.path.realpath(p).rpartition("/")[2] for p in directory.glob("*.pth")}


def assert_same_training(directory: Path, undisturbed: Path) -> None:
    assert same(checkpoint(directory), checkpoint(undisturbed))
    # A kill after the last epoch may leave a model that would have been removed next.
    assert models_and_links(directory).items() >= models_and_links(undisturbed).items()
    for path in undisturbed.glob("*epoch.pth"):
        assert same(torch.load(directory / path.name), torch.load(path)), path.name


def test_a_training_killed_in_every_epoch_ends_in_the_same_bits(
    tiny_training: TinyTraining, undisturbed: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "exp"
    # File, which time the run writes it, share of its bytes, and what the next run says.
    kills = [
        ("checkpoint.pth", 1, 0.5, "the first epoch begins anew"),
        ("checkpoint.pth", 2, 0.0, "goes on from the copy of epoch 1"),
        ("2epoch.pth", 1, 0.9, "2epoch.pth is made again from checkpoint.pth"),
        ("checkpoint.pth", 1, 1.0, "3epoch.pth is made again from checkpoint.pth"),
        ("checkpoint.pth", 1, 0.5, "goes on from the copy of epoch 3"),
        ("5epoch.pth", 1, 1.0, "already reached at max_epoch"),  # no link leads to it yet
    ]
    says = ""
    for name, nth, share, says_next in kills:
        fault = {"kind": "save", "name": name, "nth": nth, "share": share}
        run = tiny_training.train(directory, *OPTIONS, config=CONFIG, fault=fault)
        assert run.returncode == -9, run.stderr[-2000:]
        assert says in run.stderr, run.stderr[-2000:]
        says = says_next
    run = tiny_training.train(directory, *OPTIONS, config=CONFIG)
    assert run.returncode == 0, run.stderr[-2000:]
    assert says in run.stderr
    assert_same_training(directory, undisturbed)


def assert_stopped(done: Any, signal: str, batch: int, epoch: int) -> None:
    status = done.status if isinstance(done, Outcome) else done.returncode
    assert status == os.EX_TEMPFAIL, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert f"stopped by {signal} after batch {batch} of epoch {epoch}; run the same" in last


def test_a_training_that_is_asked_to_stop_goes_on_in_the_middle_of_its_epoch(
    tiny_training: TinyTraining, undisturbed: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "exp"
    # Three batches and a validation of four make an epoch; two batches make a step.
    for signal, nth, batch, epoch in (("SIGTERM", 1, 2, 1), ("SIGUSR1", 3, 3, 1),
                                      ("SIGTERM", 12, 2, 3)):  # fmt: skip
        fault = {"kind": "signal", "name": signal, "nth": nth}
        run = tiny_training.train(directory, *OPTIONS, config=CONFIG, fault=fault)
        assert_stopped(run, signal, batch, epoch)
        assert (directory / "interrupted.pth").is_file()
    run = tiny_training.train(directory, *OPTIONS, config=CONFIG)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "Epoch 3 goes on after batch 2" in run.stderr
    assert_same_training(directory, undisturbed)


def test_several_processes_stop_together_and_go_on(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    options = ("--max_epoch", "2", "--resume", "true")
    for done in tiny_training.train_two(tmp_path / "whole", *options, config=CONFIG):
        assert done.status == 0, done.stderr[-2000:]
    # One of them alone hears the signal; with workers, which Slurm sends it to as well.
    config = {**CONFIG, "num_workers": 1}
    asked = {"kind": "signal", "name": "SIGTERM", "nth": 1}
    for done in tiny_training.train_two(
        tmp_path / "parts", *options, config=config, faults=(None, asked)
    ):
        assert_stopped(done, "SIGTERM", 2, 1)
    for done in tiny_training.train_two(tmp_path / "parts", *options, config=config):
        assert done.status == 0, done.stderr[-2000:]
    assert same(checkpoint(tmp_path / "parts"), checkpoint(tmp_path / "whole"))


def test_the_processes_that_espnet_starts_stop_with_the_first(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    words = tiny_training.command(tmp_path / "exp", "--max_epoch", "999")[3:]
    script = Path(__file__).parents[1] / "support/one_process_per_gpu.py"
    command = [sys.executable, str(script), *words, "--ngpu", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not (tmp_path / "exp/1epoch.pth").exists():
            time.sleep(0.1)
        process.terminate()
        _, errors = process.communicate()
    assert process.returncode == os.EX_TEMPFAIL, errors[-2000:]
    assert "Traceback" not in errors and errors.count("stopped by SIGTERM after batch") == 2
    assert (tmp_path / "exp/interrupted.pth").is_file()


def test_a_lost_process_ends_the_others_with_a_sentence(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    killed = {"kind": "signal", "name": "SIGKILL", "nth": 2}
    first, second = tiny_training.train_two(
        tmp_path / "exp", "--max_epoch", "1", faults=(None, killed)
    )
    assert second.status == -9
    assert_refused(first, "process 0", "another process of this training has ended")


def test_a_dead_reader_of_data_ends_the_training_with_a_sentence(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    words = tiny_training.command(
        tmp_path / "exp", "--max_epoch", "1", "--num_workers", "1",
        config={"num_iters_per_epoch": 9},
    )[3:]  # fmt: skip
    killed = {"kind": "signal", "name": "SIGKILL", "nth": 1, "to": "workers"}
    done = tiny_training.server("slm_train", *words, fault=killed)
    assert_refused(done, "--num_workers", "a process that reads data has died")


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


DAMAGES = pytest.mark.parametrize("damage", [_flip_a_bit, _cut_off, _empty])


@DAMAGES
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    undisturbed: Path, tmp_path: Path, damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    directory = tmp_path / "exp"
    shutil.copytree(undisturbed, directory, symlinks=True)
    damage(directory / "checkpoint.pth")
    assert repair(directory, CRITERIA) == EPOCHS - 1
    assert "the checkpoint is damaged" in caplog.text
    assert f"goes on from the copy of epoch {EPOCHS - 1}" in caplog.text
    assert same(checkpoint(directory)["model"], torch.load(directory / f"{EPOCHS - 1}epoch.pth"))


@DAMAGES
def test_a_damaged_model_is_made_again_from_the_checkpoint(
    undisturbed: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    directory = tmp_path / "exp"
    shutil.copytree(undisturbed, directory, symlinks=True)
    damage(directory / f"{EPOCHS}epoch.pth")
    damage(directory / f"{EPOCHS - 1}epoch.pth")  # which checkpoint.previous.pth holds
    (directory / "latest.pth").unlink()
    assert repair(directory, CRITERIA) == EPOCHS
    assert_same_training(directory, undisturbed)
