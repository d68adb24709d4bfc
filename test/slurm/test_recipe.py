"""The whole recipe with slurm.pl under every stage, as cmd.sh arranges it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from tiny_llm import build_tiny_llm
from tiny_recipe import TinyRecipe

SLURM = {"OTREG_BACKEND": "slurm"}


def make_recipe(root: Path, whisper: Path) -> TinyRecipe:
    return TinyRecipe(root / "slm1", whisper, build_tiny_llm(root / "llm"))


def start(recipe: TinyRecipe, environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    words, inherited = recipe.command("--decode_modes", "llm", *options)
    return subprocess.Popen(
        words,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(3600)
def test_the_recipe_on_the_cluster_gives_the_same_as_on_this_machine(
    cluster: Cluster, tiny_whisper: Path, tmp_path: Path
) -> None:
    recipes = {name: make_recipe(tmp_path / name, tiny_whisper) for name in ("here", "cluster")}
    slurm = {**SLURM, "SLURM_CONF": cluster.environment["SLURM_CONF"]}
    # At the same time; what follows decoding depends on the hypotheses alone.
    runs = {
        "here": start(recipes["here"], {}, "--stop_stage", "decode"),
        "cluster": start(recipes["cluster"], slurm, "--trainings_at_once", "2"),
    }
    outputs = {name: run.communicate() for name, run in runs.items()}
    for name, run in runs.items():
        assert run.returncode == 0, name + outputs[name][0][-2000:] + outputs[name][1][-4000:]
    outcomes = {name: recipe.outcome() for name, recipe in recipes.items()}
    outcomes["cluster"].pop("report/table.txt")
    assert outcomes["here"] == outcomes["cluster"]
    kinds = {Path(name).suffix for name in outcomes["here"]}
    assert kinds == {"", ".pth"}  # the hypotheses and the parameters of every model
    table = (recipes["cluster"].directory / "exp/tiny/report/table.txt").read_text()
    assert "WER" in table

    logs = sorted(recipes["cluster"].directory.rglob("*.log"))
    started = re.compile(r"^# Started at .+ on n[12], Slurm job \d+$", flags=re.MULTILINE)
    assert logs and not [path for path in logs if not started.search(path.read_text())]


def test_dry_run_prints_the_lines_of_sbatch(tmp_path: Path) -> None:
    for model in ("whisper", "llm"):
        (tmp_path / model).mkdir()
    recipe = TinyRecipe(tmp_path / "slm1", tmp_path / "whisper", tmp_path / "llm")
    before = sorted(recipe.directory.rglob("*"))
    options = ("--dry_run", "--stage", "stats", "--stop_stage", "train_arms")
    words, environment = recipe.command(*options, "--ngpu", "2", "--num_nodes", "3")
    done = subprocess.run(words, env={**environment, **SLURM}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(recipe.directory.rglob("*")) == before
    lines = done.stdout.splitlines()
    wrapped = [line for line in lines if re.match(r"(slurm\.pl|python -m espnet2\.bin\.l)", line)]
    submitted = [line for line in lines if line.startswith("# sbatch ")]
    assert len(submitted) == len(wrapped) == 4  # stats and three trainings
    training = [line for line in submitted if "/sft_s1/q/train.log/" in line]
    assert len(training) == 1
    for option in ("--partition gpu --gres=gpu:2", "--nodes 3", "--mem 32G", "--cpus-per-task 2"):
        assert f" {option} " in training[0]
    assert any(" --array=1-1 " in line for line in submitted)
