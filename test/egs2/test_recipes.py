"""The recipes of published corpora: every stage is printed, and the first two are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_multi_domain import ROOT, MultiDomainRecipe

NAMES = ("commonvoice", "fleurs", "librispeech", "mls", "multi_domain", "voxpopuli")


def test_each_is_a_short_script_and_one_preset() -> None:
    presets = {(ROOT / "egs2" / name / "slm1/conf/pretrained").resolve() for name in NAMES}
    assert presets == {ROOT / "egs2/multi_domain/slm1/conf/pretrained"}
    for name in NAMES:
        assert len((ROOT / "egs2" / name / "slm1/run.sh").read_text().splitlines()) <= 20


@pytest.mark.parametrize("name", NAMES)
def test_dry_run(name: str, tmp_path: Path) -> None:
    recipe = tmp_path / "egs2" / name / "slm1"
    shutil.copytree(ROOT / "egs2" / name / "slm1", recipe)
    (tmp_path / "egs2/TEMPLATE").symlink_to(ROOT / "egs2/TEMPLATE")
    before = sorted(recipe.rglob("*"))
    words = ["./run.sh", "--dry_run", "--data_args", "--train_limit 7", "--data_root", "."]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words, cwd=recipe, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert sorted(recipe.rglob("*")) == before
    assert re.findall(r"stage \d+ (\w+)", done.stdout) == [
        "data", "format", "synthesis", "features", "llm", "tokens", "stats", "pretrain",
        "train_sft", "train_arms", "decode", "score", "analyze", "report", "pack",
    ]  # fmt: skip
    (prepare,) = [line for line in done.stdout.splitlines() if "local/data.sh" in line]
    assert prepare.endswith("--nj 2 --data_root . --train_limit 7")
    domains = "librispeech_clean librispeech_other" if name == "librispeech" else name
    domains = domains.replace("multi_domain", "mls")
    assert f"--in_domain {domains}\n" in done.stdout
    assert "exp/pretrained/config/otreg.yaml" in done.stdout


def test_other_options_of_the_data_make_them_anew(tmp_path: Path) -> None:
    for model in ("whisper", "llm"):
        (tmp_path / model).mkdir()
    recipe = MultiDomainRecipe(tmp_path, tmp_path / "whisper", tmp_path / "llm")
    done = recipe.run("--stop_stage", "format")
    assert done.returncode == 0, done.stderr
    text = recipe.directory / "dump/raw/ood/text"
    domains = [line.split()[1] for line in text.with_name("utt2domain").open()]
    assert sorted(domains) == sorted(["commonvoice", "fleurs", "voxpopuli"] * 4)
    assert recipe.run("--stop_stage", "data").stdout.count("stage 1 data: up to date") == 1
    again = recipe.run("--stop_stage", "data", "--data_args", "--languages fr --train_subset train")
    assert again.returncode == 0
    assert "data: data_args was --languages es,fr --train_subset train, is --la" in again.stderr
    # The German of MLS is not among the copies.
    failed = recipe.run("--stop_stage", "data", "--data_args", "--languages de")
    assert failed.returncode == 1
    assert "mls_german: no such directory, nor with _opus; unpack its archive" in failed.stderr
