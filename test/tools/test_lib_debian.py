"""Programs that the tests and checks need from Debian packages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "tools/lib_debian.sh"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    shutil.copy(LIBRARY.parent / "lib.sh", tmp_path / "tools")
    return tmp_path


def find(root: Path, package: str, path: str) -> subprocess.CompletedProcess[str]:
    """Ask for a program on a machine whose PATH has no apt-get."""
    (root / "bin").mkdir(exist_ok=True)
    if not (root / "bin/basename").exists():
        (root / "bin/basename").symlink_to(str(shutil.which("basename")))
    script = f"set -euo pipefail; root='{root}'; . '{LIBRARY}'; debian_program '{package}' '{path}'"
    return subprocess.run(
        [str(shutil.which("bash")), "-c", script],
        env={"PATH": str(root / "bin")},
        capture_output=True,
        text=True,
    )


def add_program(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_a_program_on_the_path_is_taken(root: Path) -> None:
    add_program(root / "bin/sclyte")
    assert find(root, "sctk", "usr/lib/sctk/bin/sclyte").stdout.strip() == f"{root}/bin/sclyte"


def test_an_unpacked_package_is_taken(root: Path) -> None:
    program = root / "tools/debian/sctk/usr/lib/sctk/bin/sclyte"
    add_program(program)
    assert find(root, "sctk", "usr/lib/sctk/bin/sclyte").stdout.strip() == str(program)


def test_without_apt_the_package_is_named(root: Path) -> None:
    run = find(root, "sctk", "usr/lib/sctk/bin/sclyte")
    assert run.returncode == 1
    assert run.stderr.strip() == (
        "error: sclyte is missing; install it (Debian and Ubuntu have it in the package sctk) "
        "and put it on the PATH"
    )
