"""Several processes: the same command goes on after a kill, and all of them refuse another one."""

from __future__ import annotations

import signal
from pathlib import Path

from tiny_training import TinyTraining, checkpoint, same

OPTIONS = ("--max_epoch", "3")


def test_several_processes_go_on_without_an_option(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    for done in tiny_training.train_two(tmp_path / "whole", *OPTIONS):
        assert done.status == 0, done.stderr[-2000:]
    directory = tmp_path / "parts"
    killed = {"kind": "signal", "name": "SIGKILL", "nth": 10}  # in the second epoch
    for done in tiny_training.train_two(directory, *OPTIONS, faults=(killed, killed)):
        assert done.status == -signal.SIGKILL
    before = (directory / "config.yaml").read_bytes()
    for done in tiny_training.train_two(directory, *OPTIONS, "--optim_conf", "lr=0.5"):
        assert done.status == 1 and "optim_conf.lr: 0.002 -> 0.5" in done.stderr
    assert (directory / "config.yaml").read_bytes() == before
    asked = {"kind": "signal", "name": "SIGINT", "nth": 2}
    for done in tiny_training.train_two(directory, *OPTIONS, faults=(asked, None)):
        assert done.status == 130 and "stopped by SIGINT" in done.stderr.splitlines()[-1]
    for done in tiny_training.train_two(directory, *OPTIONS):
        assert done.status == 0, done.stderr[-2000:]
    assert same(checkpoint(directory), checkpoint(tmp_path / "whole"))
    for done in tiny_training.train_two(directory, *OPTIONS):
        assert done.status == 0 and "finished: 3 epochs" in done.stdout
    again = ("--max_epoch", "1", "--overwrite", "true")
    for done in tiny_training.train_two(directory, *again):
        assert done.status == 0, done.stderr[-2000:]
    assert [path.name for path in directory.glob("*epoch.pth")] == ["1epoch.pth"]


def test_one_process_goes_on_with_what_two_have_begun(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    for done in tiny_training.train_two(tmp_path / "exp", "--max_epoch", "1"):
        assert done.status == 0, done.stderr[-2000:]
    run = tiny_training.train(tmp_path / "exp", "--max_epoch", "2")
    assert run.returncode == 0 and "The training was resumed" in run.stderr, run.stderr[-2000:]
