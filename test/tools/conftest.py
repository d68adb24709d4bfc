"""A miniature of this repository that tools/install.sh installs in seconds, without a network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = Path(os.path.realpath(sys.executable))

# pip builds the miniature with this; it waits while the file "slow" exists.
BACKEND = """
import pathlib, time, zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    pathlib.Path("building").touch()
    while pathlib.Path("slow").exists():
        time.sleep(0.05)
    name = "espnet_otreg-0.1.0"
    names = ("espnet", "report", "demo", "test")
    extras = "".join(f"Provides-Extra: {extra}\\n" for extra in names)
    needs = "".join(f"Requires-Dist: {line}\\n" for line in open("requirements.txt"))
    files = {
        "espnet_otreg.pth": str(pathlib.Path.cwd()),
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\\nName: espnet_otreg\\n"
        f"Version: 0.1.0\\n{extras}{needs}",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\n"
        "Root-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{path},,\\n" for path in [*files, f"{name}.dist-info/RECORD"])
    with zipfile.ZipFile(f"{directory}/{name}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{name}.dist-info/RECORD", record)
    return f"{name}-py3-none-any.whl"
"""


def clean_environment(**changes: str) -> dict[str, str]:
    """This process's environment without other Pythons' traces; pip has no index."""
    ours = ("PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_", "OTREG_", "PYENV_", "UV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, **changes}


@pytest.fixture
def clean() -> dict[str, str]:
    """An environment for scripts: nothing of this process's Python in it."""
    return clean_environment()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of tools/ beside a package of one module."""
    root = (tmp_path / "repository").resolve()
    (root / "tools").mkdir(parents=True)
    for source in [*(ROOT / "tools").glob("*.sh"), ROOT / "tools/check_install.py"]:
        shutil.copy(source, root / "tools")
    shutil.copy(ROOT / "setup.py", root)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (root / "backend.py").write_text(BACKEND)
    (root / "requirements.txt").touch()
    (root / "espnet_otreg").mkdir()
    (root / "espnet_otreg/__init__.py").touch()
    return root


@pytest.fixture(scope="session")
def whole_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but pip, to be copied."""
    venv = tmp_path_factory.mktemp("whole") / "venv"
    subprocess.run([BASE_PYTHON, "-m", "venv", venv], check=True)
    return venv


@pytest.fixture
def adopted(repository: Path, whole_venv: Path) -> Path:
    """The miniature's environment, made by somebody else."""
    return shutil.copytree(whole_venv, repository / "tools/venv", symlinks=True)


@pytest.fixture
def made(adopted: Path) -> Path:
    """The same as install.sh leaves it before it installs packages."""
    (adopted / ".otreg-made").write_text(f"{adopted}\n")
    return adopted


# "cuda" is what the default index has: no search for another index.
INSTALL = ["tools/install.sh", "--torch", "cuda", "--python", str(BASE_PYTHON)]


@pytest.fixture
def install(repository: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """install("--venv", "x"): run the miniature's install.sh with this Python."""

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*INSTALL, *options],
            cwd=repository,
            env=clean_environment(),
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def start_install(repository: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """start_install(): the same in the background, in a process group of its own."""
    started = []

    def start() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                INSTALL,
                cwd=repository,
                env=clean_environment(),
                start_new_session=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def library(repository: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """library("find_python", PATH=...): call functions of lib_install.sh."""

    def run(commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = (
            f"set -euo pipefail; root='{repository}' venv='{repository}/tools/venv' torch= "
            f"extras=espnet,report,demo,test; . '{repository}/tools/lib_install.sh'; {commands}"
        )
        return subprocess.run(
            [shutil.which("bash") or "bash", "-c", script],
            env=clean_environment(**environment),
            capture_output=True,
            text=True,
        )

    return run
