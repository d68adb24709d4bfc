"""The whole recipe with slurm.pl under every stage, as cmd.sh arranges it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from tiny_llm import build_tiny_llm
from tiny_recipe import TinyRecipe

SLURM = {"OTREG_BACKEND": "slurm"}
MODES = ("--decode_modes", "llm")


@pytest.mark.timeout(3600)
def test_the_recipe_on_the_cluster_gives_the_same_as_on_this_machine(
    cluster: Cluster, tiny_whisper: Path, tmp_path: Path
) -> None:
    recipe = TinyRecipe(tmp_path / "slm1", tiny_whisper, build_tiny_llm(tmp_path / "llm"))

    def run_on_cluster(*options: str) -> None:
        words, environment = recipe.command("--models_at_once", "2", *MODES, *options)
        environment |= {**SLURM, "SLURM_CONF": cluster.environment["SLURM_CONF"]}
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    run_on_cluster("--stop_stage", "train_arms")
    here = recipe.copy(tmp_path / "here")
    for model in ("sft_s1", "otreg_s1"):
        shutil.rmtree(here.directory / "exp/tiny" / model)
    again = here.start("--stage", "train_sft", "--stop_stage", "score", *MODES)
    run_on_cluster()  # what is left, from decoding to packing
    assert again.wait() == 0
    outcomes = [one.outcome() for one in (recipe, here)]
    assert outcomes[0].pop("report/table.txt")
    assert outcomes[0] == outcomes[1]
    assert {"sft_s1/4epoch.pth", "otreg_s1/4epoch.pth", "otreg_s1/llm/ood/text"} <= set(outcomes[1])
    scores = [  # of all rows of the table
        {
            path.relative_to(one.directory): path.read_text()
            for path in sorted(one.directory.glob("exp/tiny/*/*/*/scoring/*/result.txt"))
        }
        for one in (recipe, here)
    ]
    assert scores[0] == scores[1] and len(scores[0]) >= 2 * 2 * 3
    assert "WER" in (recipe.directory / "exp/tiny/report/table.txt").read_text()

    logs = sorted(recipe.directory.rglob("*.log"))
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
    training = [line for line in submitted if "/sft_s1/train.log.q/" in line]
    assert len(training) == 1
    for option in ("--partition gpu --gres=gpu:2", "--nodes 3", "--mem 32G", "--cpus-per-task 2"):
        assert f" {option} " in training[0]
    assert any(" --array=1-1 " in line for line in submitted)
