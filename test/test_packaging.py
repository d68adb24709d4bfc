"""The package as others get it: built, installed elsewhere, its commands started there."""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "espnet_otreg"
COMMANDS = sorted(
    path.stem for path in (PACKAGE / "bin").glob("*.py") if not path.stem.startswith("_")
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that nothing is written into the working tree."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        PACKAGE, source / "espnet_otreg", ignore=shutil.ignore_patterns("__pycache__", ".*")
    )
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", output, source], check=True)
    (built,) = output.glob("espnet_otreg-*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel installed and nothing else of the repository."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", site, wheel], check=True)
    return site


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if name.startswith("espnet_otreg/")} == expected
    assert any(name.endswith("LICENSE") for name in names)


def test_the_version_and_the_requirements_come_from_one_place(wheel: Path) -> None:
    import espnet_otreg

    (described,) = metadata.distributions(name="espnet_otreg", path=[str(wheel)])
    assert described.version == espnet_otreg.__version__
    assert set(described.metadata.get_all("Provides-Extra")) == {
        "cuda", "demo", "espnet", "report", "test",
    }  # fmt: skip
    assert SpecifierSet(described.metadata["Requires-Python"]) == SpecifierSet(">=3.12,<3.14")
    assert described.requires
    for text in described.requires:
        symbols = {specifier.operator for specifier in Requirement(text).specifier}
        assert {">=", "<"} <= symbols, f"{text}: which versions were tested?"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_shows_its_help_elsewhere_in_a_second(
    elsewhere: Path, tmp_path: Path, command: str
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(elsewhere)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        [sys.executable, "-m", f"espnet_otreg.bin.{command}", "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("usage:")
    # Processor time: wall time says more about what else the machine is doing.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 1


def test_the_installed_copy_is_the_one_that_runs(elsewhere: Path, tmp_path: Path) -> None:
    where = subprocess.check_output(
        [sys.executable, "-c", "import espnet_otreg; print(espnet_otreg.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(elsewhere)},
        text=True,
    )
    assert Path(where.strip()).parent == elsewhere / "espnet_otreg"


def third_party_imports(directory: Path) -> set[str]:
    names = set()
    for path in directory.rglob("*.py"):
        if "site-packages" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names.add(node.module.split(".")[0])
    ours = {"espnet_otreg", *(path.stem for path in (ROOT / "test").rglob("*.py"))}
    return names - set(sys.stdlib_module_names) - ours


def distribution_names(extras: set[str]) -> set[str]:
    """Names of what espnet_otreg requires, with those extras."""
    names = set()
    for text in metadata.requires("espnet_otreg") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            names.add(re.sub(r"[-_.]+", "-", requirement.name).lower())
    return names


@pytest.mark.parametrize(
    ("directory", "extras"),
    [("espnet_otreg", {"espnet", "demo", "report", "cuda"}), ("test", {"espnet", "test"})],
)
def test_whatever_is_imported_is_required(directory: str, extras: set[str]) -> None:
    providers = metadata.packages_distributions()
    required, imported = distribution_names(extras), third_party_imports(ROOT / directory)
    assert {"numpy", "torch"} <= imported
    missing = {
        name: providers.get(name, [])
        for name in imported
        if not {re.sub(r"[-_.]+", "-", p).lower() for p in providers.get(name, [])} & required
    }
    assert missing == {}
