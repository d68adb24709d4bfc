"""tools/install.sh, run for real on a miniature of this repository."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[[], subprocess.Popen[str]]


def wait_for(path: Path) -> None:
    limit = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < limit, f"{path} did not come"
        time.sleep(0.02)


def test_what_is_missing_is_installed_and_nothing_else(
    repository: Path, install: Run, clean: dict[str, str]
) -> None:
    first = install()
    assert first.returncode == 0, first.stderr
    assert "making" in first.stdout
    assert "all in the ranges needed" in first.stdout
    python = repository / "tools/venv/bin/python"
    where = subprocess.check_output(
        [python, "-c", "import espnet_otreg; print(espnet_otreg.__file__)"], text=True, cwd="/"
    )
    assert where.strip() == str(repository / "espnet_otreg/__init__.py")

    second = install()
    assert second.returncode == 0
    assert "making" not in second.stdout and "installing" not in second.stdout

    # Without options, what was chosen before holds.
    third = subprocess.run(
        ["tools/install.sh"], cwd=repository, env=clean, capture_output=True, text=True, check=True
    )
    assert "installing" not in third.stdout

    # More than is asked for is kept; what only the tests need may come later.
    stamp = repository / "tools/venv/.otreg-installed"
    assert "installing" not in install("--without_tests").stdout
    stamp.write_text(stamp.read_text().replace("demo,test", "demo"))
    assert "installing" not in install("--without_tests").stdout
    later = install()
    assert "installing" in later.stdout and "extras espnet,report,demo,test" in stamp.read_text()
    assert int((repository / "tools/venv/.otreg-seconds").read_text()) < 300

    with open(repository / "setup.py", "a") as file:
        file.write("# another requirement\n")
    changed = install()
    assert changed.returncode == 0
    assert "installing" in changed.stdout and "making" not in changed.stdout

    for path in (repository / "tools/venv").glob("lib/python3*/site-packages/espnet_otreg*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    mended = install()
    assert mended.returncode == 0
    assert "espnet_otreg is not installed" in mended.stderr and "installing" in mended.stdout

    (repository / "requirements.txt").write_text("surely-not-there>=1\n")
    (repository / "setup.py").write_text((repository / "setup.py").read_text() + "# again\n")
    missing = install()
    assert missing.returncode == 1
    assert "error: not all packages could be installed" in missing.stderr
    assert "surely-not-there" in missing.stderr
    assert not (repository / "tools/venv/.otreg-installed").exists()


@pytest.mark.usefixtures("made")
def test_an_interrupted_or_killed_installation_goes_on(
    repository: Path, install: Run, start_install: Start
) -> None:
    (repository / "slow").touch()
    process = start_install()
    wait_for(repository / "building")  # pip is at work
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: interrupted; run the same command again" in output

    (repository / "building").unlink()
    process = start_install()
    wait_for(repository / "building")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (repository / "tools/venv/.otreg-installed").exists()

    (repository / "slow").unlink()
    again = install()
    assert again.returncode == 0, again.stderr
    assert "making" not in again.stdout  # the environment itself was finished
    assert (repository / "tools/venv/.otreg-installed").exists()


def test_a_half_made_environment_is_made_anew(
    repository: Path, install: Run, start_install: Start
) -> None:
    process = start_install()
    wait_for(repository / "tools/venv/pyvenv.cfg")  # python -m venv is at work, pip is not there
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = install()
    assert again.returncode == 0, again.stderr
    assert "making it anew" in again.stdout


@pytest.mark.usefixtures("made")
def test_two_at_once_wait_for_each_other(repository: Path, start_install: Start) -> None:
    (repository / "slow").touch()
    first = start_install()
    wait_for(repository / "building")
    second = start_install()
    assert second.stdout is not None
    assert "another installation" in second.stdout.readline()
    (repository / "slow").unlink()
    assert "done" in first.communicate(timeout=60)[0]
    assert "installing" not in second.communicate(timeout=60)[0]
    assert (first.returncode, second.returncode) == (0, 0)


def test_an_adopted_environment_is_kept_and_a_moved_one_made_anew(
    repository: Path, install: Run, adopted: Path
) -> None:
    kept = install()
    assert kept.returncode == 0, kept.stderr
    assert "making" not in kept.stdout

    (adopted / ".otreg-made").write_text(f"{repository}/where/it/was/made\n")
    moved = install()
    assert moved.returncode == 0, moved.stderr
    assert "making it anew" in moved.stdout


def test_foreign_directories_are_left_alone(repository: Path, install: Run) -> None:
    (repository / "work").mkdir()
    (repository / "work/thesis.tex").touch()
    run = install("--venv", "work")
    assert run.returncode == 1
    assert "work is neither empty nor a virtual environment; choose another" in run.stderr
    assert [path.name for path in (repository / "work").iterdir()] == ["thesis.tex"]

    (repository / "work/pyvenv.cfg").touch()  # somebody's broken environment
    run = install("--venv", "work")
    assert run.returncode == 1
    assert "does not work here or has another Python; remove it" in run.stderr
    assert (repository / "work/thesis.tex").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--colour"], "--colour: unknown option; --help shows the usage"),
        (["--venv"], "--venv: its value is missing"),
        (["--torch", "gpu"], "--torch gpu: not understood; give cpu, cuda, a version"),
        (["--python", "no/such/python"], "--python no/such/python: no such program"),
    ],
)
def test_wrong_options_are_explained(install: Run, options: list[str], sentence: str) -> None:
    run = install(*options)
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {sentence}")


def test_help_lists_the_options(install: Run) -> None:
    run = install("--help")
    assert run.returncode == 0
    assert all(option in run.stdout for option in ("--python", "--venv", "--without_tests"))


def test_a_python_out_of_range_is_refused(repository: Path, install: Run) -> None:
    setup = repository / "setup.py"
    setup.write_text(setup.read_text().replace(">=3.12,<3.14", ">=3.98,<3.99"))
    run = install()
    version = platform.python_version()
    assert run.returncode == 1
    assert f"Python {version} is not in the range >=3.98,<3.99; name another" in run.stderr
    assert not (repository / "tools/venv").exists()
