"""The machinery of slm.sh, with small stages of real shell commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from espnet_otreg.recipe.locks import DirectoryLock

TEMPLATE = Path(__file__).parents[2] / "egs2/TEMPLATE/slm1"

# The first stage counts how often it ran, the second is a "training" that can be killed.
RECIPE = f"""#!/usr/bin/env bash
set -euo pipefail
template={TEMPLATE} conf=conf run_command=./run.sh skip_train=false exp=exp raw=none shared=(shared)
training_stages=(train)
# options
stage=count         # first
stop_stage=train    # last
dry_run=false       # print only
force=false         # again
word=hello          # what is written
epochs=2            # how long
more=               # quoted options
tag=                # another directory
ngpu=0              # GPUs
num_nodes=1         # machines
models_at_once=1 # side by side
# end of options
stages=(count train meet share)
stage_count() {{
  step exp/count --set "word=${{word}}" --output exp/count/text
  launch train_cmd exp/count/log/count.log \\
    bash -c 'echo run >>exp/runs; mkdir -p exp/count; echo "$1" >exp/count/text' - "${{word}}"
}}
stage_train() {{
  local dir=exp/train${{tag}}
  step "$dir" --training --upstream exp/count --set "max_epoch=${{epochs}}" --output "$dir/model"
  launch_training "$dir/train.log" bash train.sh "$dir" "${{epochs}}"
}}
stage_meet() {{
  local name
  for name in a b c; do
    model_step "exp/$name" --training --output "exp/$name/model"
    launch_training "exp/$name/train.log" bash meet.sh "$name"
  done
}}
stage_share() {{
  step shared/one --output shared/one/text
  launch train_cmd shared/log bash share.sh
  options --more "${{more}}"
}}
show_results() {{ :; }}
. "$template/slm_engine.sh"
. "$template/utils/parse_options.sh"
. "$template/path.sh"
. "$template/cmd.sh"
first=$(stage_number "$stage")
last=$(stage_number "$stop_stage")
exp=exp${{tag}}
dry=()
! $dry_run || dry=(--dry_run)
run_stages
"""

# Waits until as many run as the file says, and counts them; b may fail.
MEET = """set -euo pipefail
mkdir -p exp/here exp/$1
touch exp/here/$1
for i in {1..200}; do
  if [[ $1 == c ]] || (($(ls exp/here | wc -l) >= $(cat at_once))); then break; fi
  sleep 0.1
done
ls exp/here | wc -l >exp/$1/model
echo ${OMP_NUM_THREADS:-all} >exp/$1/threads
if [[ -e stop_here ]]; then sleep 60; fi
sleep 0.5
rm exp/here/$1
if [[ $1 == b && -e fail_here ]]; then echo "error: b has failed"; exit 3; fi
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


# Says that it has begun, and waits until it may end.
SHARE = """set -euo pipefail
echo run >>shared/runs
touch begun
while [[ ! -e go ]]; do sleep 0.02; done
mkdir -p shared/one
printf '%s\\n' "$@" run >shared/one/text
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("OTREG_VENV", str(tmp_path / "none"))
    (tmp_path / "run.sh").write_text(RECIPE)
    (tmp_path / "meet.sh").write_text(MEET)
    (tmp_path / "share.sh").write_text(SHARE)
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
    (line,) = again.stdout.splitlines()
    assert line.endswith("stages 1-2 count, train: up to date; next: ./run.sh --stage meet")
    assert again.stderr == ""
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
    failed = run(recipe, "--stage", "5")
    assert failed.returncode == 1
    assert failed.stderr == "error: 5: no such stage; --help lists the stages\n"


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
    assert "stage 1 count: up to date" in resumed.stdout and runs(recipe) == 1
    assert resumed.stderr == "exp/train: it was interrupted\n"
    assert (recipe / "exp/train/model").read_text().count("epoch") == 2


def meet_options(recipe: Path, at_once: int) -> list[str]:
    (recipe / "at_once").write_text(str(at_once))
    return ["--stage", "meet", "--stop_stage", "meet", "--models_at_once", str(at_once)]


def test_models_run_side_by_side_and_share_the_cores(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(name: str) -> list[str]:
        return [(recipe / f"exp/{model}/{name}").read_text().strip() for model in "abc"]

    def counts() -> list[int]:
        return list(map(int, read("model")))

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = int(subprocess.run(["nproc"], capture_output=True, check=True).stdout)
    one_by_one = run(recipe, *meet_options(recipe, 1))
    assert one_by_one.returncode == 0, one_by_one.stderr
    assert counts() == [1, 1, 1] and read("threads") == ["all"] * 3
    options = meet_options(recipe, 2)
    together = run(recipe, *options, "--force")
    assert together.returncode == 0, together.stderr
    assert "log: exp/a/train.log exp/b/train.log and 1 more" in together.stdout
    assert counts()[:2] == [2, 2] and counts()[2] <= 2
    assert read("threads") == [str(max(1, cores // 2))] * 3
    assert "stage 3 meet: up to date" in run(recipe, *options).stdout
    # What the user has set holds; one that is left alone has all cores.
    (recipe / "exp/a/model").unlink()
    alone = run(recipe, *meet_options(recipe, 1), "--models_at_once", "2")
    assert alone.returncode == 0 and read("threads")[0] == "all", alone.stderr
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert run(recipe, *options, "--force").returncode == 0
    assert read("threads") == ["3"] * 3


def test_a_failing_training_does_not_stop_those_beside_it(recipe: Path) -> None:
    (recipe / "fail_here").touch()
    options = meet_options(recipe, 2)
    failed = run(recipe, *options)
    assert failed.returncode == 1
    assert "error: b has failed" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("error: stage meet failed; mend the above")
    (recipe / "fail_here").unlink()
    mended = run(recipe, *meet_options(recipe, 1))
    assert mended.returncode == 0, mended.stderr
    assert mended.stderr == "exp/b: it was interrupted\n"  # and a and c are done


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_a_run_ends_its_trainings(recipe: Path, sign: signal.Signals) -> None:
    (recipe / "stop_here").touch()
    options = meet_options(recipe, 2)
    words, quiet = ["bash", "run.sh", *options], subprocess.DEVNULL
    process = subprocess.Popen(words, cwd=recipe, stdout=quiet, stderr=quiet)
    deadline = time.monotonic() + 30
    while not all((recipe / f"exp/{name}/model").exists() for name in "ab"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(sign)
    process.wait()
    (recipe / "stop_here").unlink()
    resumed = run(recipe, *options)  # waits until the old ones have let go of the directory
    assert resumed.returncode == 0, resumed.stderr
    assert "exp/a: it was interrupted" in resumed.stderr


SHARED = ("--stage", "share", "--stop_stage", "share")


def start_sharing(recipe: Path, tag: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "run.sh", *SHARED, "--tag", tag, "--more", "'two words' one"],
        cwd=recipe, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_experiments_never_write_into_a_shared_directory_at_once(recipe: Path) -> None:
    first = start_sharing(recipe, "_one")
    wait_for(recipe / "begun")
    second = start_sharing(recipe, "_two")
    assert second.stderr is not None
    waits = f"shared: another run (process {first.pid}) is working here; waiting for it\n"
    assert second.stderr.readline() == waits
    (recipe / "go").touch()
    assert first.communicate()[1] == "" and first.returncode == 0
    rest, errors = second.communicate()
    assert second.returncode == 0 and errors == ""
    assert "stage 4 share: up to date" in rest  # the first run has done it
    assert (recipe / "shared/runs").read_text() == "run\n"


def test_what_another_run_makes_anew_is_waited_for(recipe: Path) -> None:
    (recipe / "shared/other").mkdir(parents=True)
    text = (recipe / "run.sh").read_text()
    needs = text.replace("step shared/one", "step shared/one --input shared/other/text")
    (recipe / "run.sh").write_text(needs)
    (recipe / "go").touch()
    with contextlib.closing(DirectoryLock(recipe / "shared", waits=False)):
        process = start_sharing(recipe, "_one")
        assert process.stderr is not None
        assert "working here; waiting for it" in process.stderr.readline()
        (recipe / "shared/other/text").write_text("made anew")
    assert process.wait(timeout=30) == 0
    (recipe / "shared/other/text").unlink()
    missing = run(recipe, *SHARED)  # nobody is making it
    assert missing.stderr.startswith("error: shared/other/text: no such file or directory")


def test_a_shared_directory_in_which_nothing_has_to_be_done_is_not_locked(recipe: Path) -> None:
    (recipe / "go").touch()
    assert start_sharing(recipe, "_one").wait() == 0
    holder = subprocess.Popen(["flock", "shared/.lock", "sleep", "60"], cwd=recipe)
    try:
        done = start_sharing(recipe, "_two")
        assert "up to date" in done.communicate(timeout=30)[0]
    finally:
        holder.kill()
        holder.wait()


def test_options_in_an_option_are_quoted_as_in_a_shell(recipe: Path) -> None:
    (recipe / "go").touch()
    assert start_sharing(recipe, "_one").wait() == 0
    assert (recipe / "shared/one/text").read_text() == "two words\none\nrun\n"
    wrong = run(recipe, *SHARED, "--more", "'two words")
    assert wrong.returncode == 1
    assert (
        wrong.stderr == "error: --more 'two words: no closing quotation; quote it as in a shell\n"
    )


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_the_last_words_say_how_to_go_on(
    recipe: Path, sign: signal.Signals
) -> None:
    process = start_sharing(recipe, "_one")
    wait_for(recipe / "begun")
    process.send_signal(sign)
    errors = process.communicate(timeout=30)[1].splitlines()
    assert process.returncode == 128 + sign
    assert errors[0] == "run.pl: stopped by SIGTERM"
    assert errors[-1] == (
        f"error: stage share was stopped by {sign.name}; go on with: ./run.sh --stage share"
    )
    assert "# Ended (code 143)" in (recipe / "shared/log").read_text()


def test_the_driver_is_small_and_plain() -> None:
    lines = [line for path in TEMPLATE.glob("slm*.sh") for line in path.read_text().splitlines()]
    assert len(lines) <= 610
    assert [line for line in lines if len(line) > 100] == []
    assert [line for line in lines if "local -n" in line or "declare -n" in line] == []


def test_help_lists_stages_and_options_with_defaults() -> None:
    script = TEMPLATE / "slm.sh"
    done = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    names = (
        "data format synthesis features llm tokens stats pretrain train_sft train_arms decode "
        "score analyze report pack"
    ).split()
    lines = done.stdout.splitlines()
    assert lines[0].endswith("slm.sh [--OPTION VALUE]...")
    listed = [line.split(maxsplit=2) for line in lines[3:18]]
    assert [(int(number), name) for number, name, _ in listed] == list(enumerate(names, start=1))
    assert all(len(comment) > 20 for _, _, comment in listed)
    options = {line.split()[0] for line in lines if line.startswith("  --")}
    in_script = script.read_text().split("# options\n")[1].split("# end of options")[0]
    assert options == {"--" + line.split("=")[0] for line in in_script.splitlines()}
    assert any(line.split()[0] == "--nj" and line.endswith("[2]") for line in lines if line)
