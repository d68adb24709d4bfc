"""The machinery of slm.sh, with small stages of real shell commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[2] / "egs2/TEMPLATE/slm1"

# Two stages: the first counts how often it ran, the second is a "training" that can be killed.
RECIPE = f"""#!/usr/bin/env bash
set -euo pipefail
template={TEMPLATE} run_command=./run.sh
# options
stage=count         # first
stop_stage=train    # last
dry_run=false       # print only
force=false         # again
word=hello          # what is written
epochs=2            # how long
tag=                # another directory
ngpu=0              # GPUs
num_nodes=1         # machines
# end of options
stages=(count train)
stage_count() {{
  step exp/count --set "word=${{word}}" --output exp/count/text -- \\
    launch train_cmd exp/count/log/count.log \\
    bash -c 'echo run >>exp/runs; mkdir -p exp/count; echo "$1" >exp/count/text' - "${{word}}"
}}
stage_train() {{
  local dir=exp/train${{tag}}
  step "$dir" --training --upstream exp/count --set "max_epoch=${{epochs}}" --output "$dir/model" \\
    -- launch_training "$dir/train.log" bash train.sh "$dir" "${{epochs}}"
}}
. "$template/slm_engine.sh"
. "$template/utils/parse_options.sh"
. "$template/path.sh"
. "$template/cmd.sh"
first=$(stage_number "$stage")
last=$(stage_number "$stop_stage")
if ! $dry_run; then
  lock_directory exp
  trap on_exit EXIT
fi
for ((n = first; n <= last; n++)); do run_stage "$n"; done
"""

# One line an epoch; goes on where it stopped, as a training with checkpoints does.
TRAIN = """set -euo pipefail
dir=$1 epochs=$2
while (($(wc -l <"$dir/checkpoint.pth") < epochs)); do
  if [[ -e stop_here ]]; then sleep 60; fi
  echo epoch >>"$dir/checkpoint.pth"
done 2>/dev/null
cp "$dir/checkpoint.pth" "$dir/model"
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("OTREG_VENV", str(tmp_path / "none"))
    (tmp_path / "run.sh").write_text(RECIPE)
    (tmp_path / "train.sh").write_text(TRAIN.replace("while", 'touch "$dir/checkpoint.pth"\nwhile'))
    return tmp_path


def run(recipe: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "run.sh", *arguments]
    return subprocess.run(command, cwd=recipe, capture_output=True, text=True)


def runs(recipe: Path) -> int:
    return (recipe / "exp/runs").read_text().count("run")


def test_stages_run_once(recipe: Path) -> None:
    done = run(recipe)
    assert done.returncode == 0, done.stderr
    assert "stage 1 count: done in" in done.stdout
    assert "log: exp/count/log/count.log; next: ./run.sh --stage train" in done.stdout
    again = run(recipe)
    assert again.returncode == 0
    assert "stage 2 train: up to date" in again.stdout
    assert runs(recipe) == 1


def test_dry_run_prints_commands_and_runs_nothing(recipe: Path) -> None:
    done = run(recipe, "--dry_run", "--word", "two words")
    assert done.returncode == 0
    assert "run.pl exp/count/log/count.log bash -c" in done.stdout
    assert "'two words'" in done.stdout
    assert "run.pl --gpu 0 exp/train/train.log bash train.sh exp/train 2 --ngpu 0" in done.stdout
    assert not (recipe / "exp").exists()


def test_several_gpus_go_through_the_launcher(recipe: Path) -> None:
    done = run(recipe, "--dry_run", "--stage", "2", "--ngpu", "2")
    assert "python -m espnet2.bin.launch --cmd run.pl --log exp/train/train.log" in done.stdout


def test_stages_by_number_and_name(recipe: Path) -> None:
    first = run(recipe, "--stage", "1", "--stop_stage", "count")
    assert "stage 2" not in first.stdout
    only = run(recipe, "--stage", "train")
    assert "stage 1" not in only.stdout
    assert only.returncode == 0
    failed = run(recipe, "--stage", "3")
    assert failed.returncode == 1
    assert failed.stderr == "error: 3: no such stage; --help lists the stages\n"


def test_a_stage_whose_results_hold_is_skipped_even_if_named(recipe: Path) -> None:
    run(recipe)
    run(recipe, "--stage", "count")
    assert runs(recipe) == 1
    run(recipe, "--stage", "count", "--stop_stage", "count", "--force")
    assert runs(recipe) == 2


def test_a_missing_output_and_a_changed_option_run_the_stage_again(recipe: Path) -> None:
    run(recipe)
    (recipe / "exp/count/text").unlink()
    again = run(recipe, "--stop_stage", "count")
    assert "exp/count: exp/count/text is missing" in again.stderr
    changed = run(recipe, "--stop_stage", "count", "--word", "other")
    assert "exp/count: word was hello, is other" in changed.stderr
    assert (recipe / "exp/count/text").read_text() == "other\n"
    assert runs(recipe) == 3


def test_training_is_not_mixed_with_other_settings(recipe: Path) -> None:
    run(recipe)
    refused = run(recipe, "--word", "other")
    assert refused.returncode == 1
    assert "exp/train: holds a training run with other settings: exp/count was made anew" in (
        refused.stderr
    )
    assert "then go on with: ./run.sh --stage train" in refused.stderr
    assert run(recipe, "--word", "other", "--tag", "_other").returncode == 0
    assert run(recipe, "--word", "other", "--stage", "train", "--force").returncode == 0


def test_more_epochs_resume(recipe: Path) -> None:
    run(recipe)
    longer = run(recipe, "--epochs", "5")
    assert longer.returncode == 0, longer.stderr
    assert "exp/train: max_epoch was 2, is 5" in longer.stderr
    assert (recipe / "exp/train/model").read_text().count("epoch") == 5


def test_a_failing_stage_says_why_and_how_to_go_on(recipe: Path) -> None:
    (recipe / "train.sh").write_text("echo 'error: no such file; check the path'; exit 3")
    failed = run(recipe)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-3:] == [
        "error: no such file; check the path",
        "run.pl: 1 / 1 failed, log is in exp/train/train.log",
        "error: stage train failed; mend the above, then go on with: ./run.sh --stage train",
    ]
    assert not (recipe / "exp/train/.done").exists()


def start_and_wait_for_training(recipe: Path) -> subprocess.Popen[bytes]:
    (recipe / "stop_here").touch()
    process = subprocess.Popen(
        ["bash", "run.sh"], cwd=recipe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (recipe / "exp/train/checkpoint.pth").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_two_runs_in_one_directory_are_refused(recipe: Path) -> None:
    process = start_and_wait_for_training(recipe)
    try:
        refused = run(recipe)
        assert refused.returncode == 1
        assert f"exp: another run (process {process.pid}) is working here" in refused.stderr
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("whole_group", [True, False])
def test_a_killed_run_resumes(recipe: Path, whole_group: bool) -> None:
    process = start_and_wait_for_training(recipe)
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    (recipe / "stop_here").unlink()
    resumed = run(recipe)
    assert resumed.returncode == 0, resumed.stderr
    assert "exp/count: up to date" in resumed.stderr
    assert "exp/train: it was interrupted" in resumed.stderr
    assert (recipe / "exp/train/model").read_text().count("epoch") == 2


def test_help_lists_stages_and_options_with_defaults() -> None:
    script = TEMPLATE / "slm.sh"
    done = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    names = (
        "data format features llm tokens stats pretrain train_sft train_arms decode score analyze "
        "report pack"
    ).split()
    lines = done.stdout.splitlines()
    listed = [line.split(maxsplit=2) for line in lines[3:17]]
    assert [(int(number), name) for number, name, _ in listed] == list(enumerate(names, start=1))
    assert all(len(comment) > 20 for _, _, comment in listed)
    options = {line.split()[0] for line in lines if line.startswith("  --")}
    in_script = script.read_text().split("# options\n")[1].split("# end of options")[0]
    assert options == {"--" + line.split("=")[0] for line in in_script.splitlines()}
    assert any(line.split()[0] == "--nj" and line.endswith("[2]") for line in lines if line)
