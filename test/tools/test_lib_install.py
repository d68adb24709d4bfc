"""Finding a Python, knowing a finished environment, clearing what a killed pip leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
BASE_PYTHON = os.path.realpath(sys.executable)
PROGRAMS = ("bash", "sed", "cat", "cksum", "mv", "rm", "basename", "grep", "date")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """A machine without any Python: the variables that say where to look."""
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "share"),
        "CONDA_PREFIX": str(tmp_path / "conda"),
    }


def add_python(directory: Path, works: bool = True) -> Path:
    python = directory / "bin/python3"
    python.parent.mkdir(parents=True)
    if works:
        python.symlink_to(BASE_PYTHON)
    else:
        python.write_text("#!/bin/sh\nexit 127\n")
        python.chmod(0o755)
    return python


@pytest.mark.parametrize(
    "place",
    [
        "home/.pyenv/versions/3.12.9",
        "share/uv/python/cpython-3.12",
        "conda",
        "conda/envs/speech",
        "home/miniforge3/envs/speech",
    ],
)
def test_a_python_that_is_not_active_is_found(
    library: Run, bare: dict[str, str], tmp_path: Path, place: str
) -> None:
    add_python(tmp_path / "home/.pyenv/versions/3.10.13", works=False)
    python = add_python(tmp_path / place)
    run = library("find_python", **bare)
    assert run.stdout.strip() == str(python), run.stderr


def test_path_comes_first_and_what_does_not_start_is_passed_over(
    library: Run, bare: dict[str, str], tmp_path: Path
) -> None:
    # The shims of pyenv are on the PATH even for versions that are not active, and then fail.
    shim = add_python(tmp_path / "shims", works=False)
    active = add_python(tmp_path / "active")
    add_python(tmp_path / "home/.pyenv/versions/3.12.9")
    path = f"{bare['PATH']}:{shim.parent}:{active.parent}"
    run = library("find_python", **{**bare, "PATH": path})
    assert run.stdout.strip() == str(active), run.stderr


def test_without_a_python_the_ways_to_get_one_are_named(library: Run, bare: dict[str, str]) -> None:
    run = library("find_python", **bare)
    assert run.returncode == 1
    (sentence,) = run.stderr.splitlines()
    assert sentence.startswith("error: found no Python >=3.12,<3.14 on PATH, in pyenv, uv or conda")
    assert "uv python install 3.12" in sentence and "--python" in sentence


def test_a_python_out_of_range_is_passed_over(
    library: Run, bare: dict[str, str], tmp_path: Path, repository: Path
) -> None:
    add_python(tmp_path / "conda")
    setup = repository / "setup.py"
    setup.write_text(setup.read_text().replace(">=3.12,<3.14", ">=3.98"))
    run = library("find_python", **bare)
    assert run.returncode == 1
    assert "found no Python >=3.98" in run.stderr


def test_the_stamp_holds_until_something_changes(library: Run, repository: Path) -> None:
    (repository / "tools/venv").mkdir()
    assert library("stamp_holds").returncode == 1
    library("torch=cpu; write_stamp")
    assert library("stamped torch").stdout.strip() == "cpu"
    assert library("torch=cpu; stamp_holds").returncode == 0
    assert library("torch=cuda; stamp_holds").returncode == 1
    with open(repository / "setup.py", "a") as file:
        file.write("# changed\n")
    assert library("torch=cpu; stamp_holds").returncode == 1


def test_leftovers_of_a_killed_pip_are_removed(library: Run, repository: Path) -> None:
    packages = repository / "tools/venv/lib/python3.12/site-packages"
    for name in ("whole-1.0", "half-2.0"):
        (packages / f"{name}.dist-info").mkdir(parents=True)
        (packages / f"{name}.dist-info/METADATA").write_text("Name: x\n")
    (packages / "whole-1.0.dist-info/RECORD").write_text("whole.py,,\n")
    (packages / "~orch/lib").mkdir(parents=True)
    run = library("remove_half_installed")
    assert run.returncode == 0, run.stderr
    assert "installing half-2.0 again: it was interrupted" in run.stdout
    assert [path.name for path in packages.iterdir()] == ["whole-1.0.dist-info"]


@pytest.mark.parametrize(
    ("build", "choice", "expected"),
    [
        (None, "2.13.0", "torch==2.13.0"),
        (None, "torch==2.13.*", "torch==2.13.*"),
        (None, "/wheels/torch.whl", "/wheels/torch.whl"),
        (None, "cuda", ""),
        ("None", "cpu", ""),
        ("'13.0'", "cuda", ""),
    ],
)
def test_the_build_of_torch_becomes_an_argument_of_pip(
    library: Run, repository: Path, build: str | None, choice: str, expected: str
) -> None:
    if build is not None:
        package = repository / "tools/venv/lib/python3.12/site-packages/torch"
        package.mkdir(parents=True)
        (package / "version.py").write_text(f"hip = None\ncuda: Optional[str] = {build}\n")
        assert library("installed_torch").stdout.strip() == ("cpu" if build == "None" else "cuda")
        assert library("default_torch").stdout == library("installed_torch").stdout
    run = library(f"arguments=(); add_torch_arguments '{choice}'; echo \"${{arguments[*]}}\"")
    assert run.stdout.strip() == expected, run.stderr


def test_an_index_that_does_not_answer_leaves_the_default(library: Run, repository: Path) -> None:
    subprocess.run(
        [BASE_PYTHON, "-m", "venv", "--without-pip", repository / "tools/venv"], check=True
    )
    run = library(
        'arguments=(); add_torch_arguments cpu; echo "arguments: ${arguments[*]}"',
        TORCH_CPU_INDEX=(repository / "no/index").as_uri(),
    )
    assert "no answer from file://" in run.stdout
    assert run.stdout.splitlines()[-1] == "arguments: "


def test_a_full_disk_is_seen_before_the_download(library: Run) -> None:
    run = library("venv=/proc; arguments=(); check_space cpu")  # never has any space
    assert run.returncode == 1
    assert "/proc: 0 GB free, and the packages need up to 8 GB; free some space" in run.stderr
