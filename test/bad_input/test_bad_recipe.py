"""Mistakes on the command line of a recipe end before any stage runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import ROOT, Outcome, assert_refused, files_in, nothing_written, run

SLM = ROOT / "egs2/TEMPLATE/slm1/slm.sh"
CONF = ROOT / "egs2/mini_multi/slm1/conf"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe's directory with settings and without data."""
    shutil.copytree(CONF, tmp_path / "conf")
    return tmp_path


def slm(recipe: Path, *options: object) -> Outcome:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return run(SLM, *options, cwd=recipe, PATH=path, VIRTUAL_ENV=sys.prefix)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--stage", "trian"), ("trian: no such stage", "--help")),
        (("--stop_stage", "16"), ("16: no such stage", "--help")),
        (("--stage", "score", "--stop_stage", "data"), ("comes after", "swap them")),
        (("--bogus", "1"), ("unknown option --bogus", "--help")),
        (("--stage=3",), ("--stage=3", "write --stage 3")),
        (("--seeds",), ("--seeds needs a value",)),
        (("--force", "maybe"), ("--force maybe: expected true or false",)),
        (("--nj", "many"), ("--nj many: not a whole number",)),
        (("data",), ("data: not an option",)),
        (("--preset", "giant"), ("--preset giant", "conf/giant/experiment.yaml", "mini/")),
        (("--arms", "sft otrge"), ("--arms: there is no run 'otrge'", "otreg")),
        (("--seeds", "1 two"), ("--seeds: 'two' is no whole number",)),
        (("--decode_modes", "ctc lmm"), ("--decode_modes", "lmm", "llm")),
        (("--llm", "/no/such/model"), ("--llm /no/such/model: no such directory",)),
        (("--data_root", "/no/such/copies"), ("--data_root /no/such/copies: no such directory",)),
        (("--exp_dir", "/proc/exp"), ("/proc/exp/mini: this directory cannot be written",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_on_the_command_line(
    recipe: Path, options: tuple[str, ...], says: tuple[str, ...]
) -> None:
    with nothing_written(recipe):
        assert_refused(slm(recipe, *options), *says)
    assert not list(recipe.rglob("*.started"))


def test_two_runs_in_one_directory(recipe: Path) -> None:
    (recipe / "exp/mini").mkdir(parents=True)
    holder = subprocess.Popen(
        ["flock", "exp/mini/.lock", "bash", "-c", "echo $$ >exp/mini/.lock; echo held; read"],
        cwd=recipe, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with nothing_written(recipe):
            assert_refused(slm(recipe), "exp/mini: another run (process ", "is working here")
    finally:
        holder.communicate("\n")


def test_a_stage_before_its_turn(recipe: Path) -> None:
    before = files_in(recipe)
    done = slm(recipe, "--stage", "format")
    sentence, next_step = done.stderr.splitlines()
    assert done.status == 1
    assert sentence.startswith("error: data/train/wav.scp: ")
    assert next_step.endswith("--stage format") and "mend the above" in next_step
    planned = ("/exp/mini/experiment.json", "/exp/mini/config/*")
    assert files_in(recipe, planned) == before
