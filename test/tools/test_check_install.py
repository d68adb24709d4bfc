"""tools/check_install.py: version arithmetic against packaging's, sentences on real metadata."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker, default_environment
from packaging.specifiers import SpecifierSet
from packaging.version import Version

SCRIPT = Path(__file__).resolve().parents[2] / "tools/check_install.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_install", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_install = load()

RELEASES = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda n: ".".join(map(str, n)))
PRE = st.sampled_from(["", "", "a1", "b2", "rc1", ".dev3", "rc1.dev2"])
POST = st.sampled_from(["", "", ".post1"])
VERSIONS = st.builds("{}{}{}".format, RELEASES, PRE, st.just("")) | st.builds(
    "{}{}{}".format, RELEASES, POST, st.sampled_from(["", "+cpu"])
)
ORDERED = st.builds(
    "{}{}".format, st.sampled_from([">=", "<=", "<", "==", "!="]), RELEASES | st.just("2.15rc1")
)
PREFIXED = st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), RELEASES)
COMPATIBLE = st.builds("~={}.{}".format, RELEASES, st.integers(0, 3))


@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_as_packaging_orders_them(left: str, right: str) -> None:
    ours = check_install.version_key(left) < check_install.version_key(right)
    public = [Version(Version(text).public) for text in (left, right)]
    assert ours == (public[0] < public[1])


@given(VERSIONS, st.lists(ORDERED | PREFIXED | COMPATIBLE, min_size=1, max_size=3).map(",".join))
def test_ranges_are_those_of_packaging(version: str, specifiers: str) -> None:
    expected = SpecifierSet(specifiers).contains(version, prereleases=True)
    assert check_install.satisfies(version, specifiers) == expected


@pytest.mark.parametrize(
    "marker",
    [
        'python_version < "3.9"',
        'python_version >= "3.10" and sys_platform == "linux"',
        'extra == "train" or (os_name != "nt" and platform_system in "Linux Darwin")',
        'python_full_version ~= "3.12"',
        '"x86" in platform_machine',
        'platform_python_implementation == "PyPy"',
        'python_version not in "3.12, 3.13"',
    ],
)
def test_markers_mean_what_they_mean_to_packaging(marker: str) -> None:
    values = {**check_install.environment(), "extra": "train"}
    expected = Marker(marker).evaluate({**default_environment(), "extra": "train"})
    assert check_install.marker_holds(marker, values) == expected


def add_package(site: Path, name: str, version: str, *requirements: str) -> None:
    directory = site / f"{name.replace('-', '_')}-{version}.dist-info"
    directory.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
    (directory / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")


def check(site: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # -S: the packages of this environment are out of sight.
    return subprocess.run(
        [sys.executable, "-S", SCRIPT, *options],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )


def test_a_conflict_is_named_with_the_command_that_mends_it(tmp_path: Path) -> None:
    add_package(tmp_path, "espnet_otreg", "0.1.0", "transformers<6,>=5", "peft<1,>=0.21")
    add_package(tmp_path, "transformers", "4.57.0")
    run = check(tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.splitlines() == [
        "error: peft is not installed, but espnet_otreg needs peft<1,>=0.21",
        "error: transformers 4.57.0 is installed, but espnet_otreg needs transformers<6,>=5",
        f"mend it with: {sys.executable} -m pip install 'peft<1,>=0.21' 'transformers<6,>=5'",
    ]


def test_conflicts_of_dependencies_are_found_too(tmp_path: Path) -> None:
    add_package(tmp_path, "espnet_otreg", "0.1.0", "espnet[train]>=202611", "numpy>=2.0")
    add_package(tmp_path, "espnet", "202611", "torch!=2.12.0,<2.15", 'light_ning; extra == "train"')
    add_package(tmp_path, "torch", "2.12.0+cpu", "numpy<3; python_version < '3'")
    add_package(tmp_path, "light-ning", "2.0", "numpy<2.2")
    add_package(tmp_path, "numpy", "2.5")
    run = check(tmp_path)
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "error: numpy 2.5 is installed, but light-ning needs numpy<2.2",
        "error: torch 2.12.0+cpu is installed, but espnet needs torch!=2.12.0,<2.15",
        f"mend it with: {sys.executable} -m pip install 'numpy>=2.0,<2.2' 'torch!=2.12.0,<2.15'",
    ]


def test_extras_are_checked_on_request(tmp_path: Path) -> None:
    add_package(tmp_path, "espnet_otreg", "0.1.0", 'pytest>=9; extra == "test"')
    assert check(tmp_path).returncode == 0
    run = check(tmp_path, "--extras", "report,test")
    assert run.returncode == 1
    assert "pytest is not installed, but espnet_otreg needs pytest>=9" in run.stderr


def test_without_the_package_the_installer_is_named(tmp_path: Path) -> None:
    run = check(tmp_path)
    assert run.returncode == 1
    assert "espnet_otreg is not installed in" in run.stderr
    assert "run tools/install.sh" in run.stderr


def test_this_environment_is_sound() -> None:
    run = subprocess.run(
        [sys.executable, SCRIPT, "--extras", "test,report,demo"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "packages, all in the ranges needed" in run.stdout
