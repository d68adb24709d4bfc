"""What stage functions declare, as the runner understands it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pages import block_with

from espnet_otreg.errors import UserError
from espnet_otreg.recipe.launch import Launcher
from espnet_otreg.recipe.steps import Command, parse_declarations

TEMPLATE = Path(__file__).resolve().parents[2] / "egs2/TEMPLATE/slm1"


def declared(*records: str, end: bool = True) -> bytes:
    """Records as the shell writes them, from lines of words."""
    lines = [record.split(" ") for record in [*records, *(["end"] if end else [])]]
    return b"".join(
        b"%d\0" % len(words) + b"".join(f"{word}\0".encode() for word in words) for words in lines
    )


def test_steps_share_the_commands_that_follow_them() -> None:
    found = parse_declarations(
        declared(
            "wrapper train_cmd run.pl --mem 4G",
            "stage 3 features",
            "step feats/dev --upstream raw/dev raw/x --output a b --set llm=train --set empty=",
            "step feats/test --training --lock downloads",
            "launch train_cmd x.JOB.log JOB=1:2 python -m extract --nj 4",
            "model_step exp/a --stated_only",
            "run cp a b",
            "skipped 4 llm",
            "results",
            "run cat table",
        )
    )
    assert found.wrappers == {"train_cmd": ["run.pl", "--mem", "4G"]}
    first, second = found.stages[0].works
    assert [step.directory for step in first.steps] == ["feats/dev", "feats/test"]
    command = ("python", "-m", "extract", "--nj", "4")
    assert [step.commands for step in first.steps] == [[command]] * 2
    assert first.steps[0].upstream == ["raw/dev", "raw/x"]
    assert first.steps[0].outputs == ["a", "b"]
    assert first.steps[0].settings == {"llm": "train"}
    assert first.steps[1].training and first.locks == {"downloads"} and not first.beside
    assert first.commands[0].jobs == "JOB=1:2" and first.commands[0].log == "x.JOB.log"
    assert second.beside and second.steps[0].stated_only
    assert found.stages[1].skipped
    assert found.results == [Command("run", ("cat", "table"))]


def test_a_wrapper_in_one_word_is_taken_apart() -> None:
    """ESPnet's cmd.sh has strings where ours has arrays."""
    record = ["3", "wrapper", "cuda_cmd", "run.pl --mem '4 G'", "1", "end"]
    data = "".join(f"{word}\0" for word in record).encode()
    assert parse_declarations(data).wrappers == {"cuda_cmd": ["run.pl", "--mem", "4 G"]}


def test_files_that_an_option_names_are_inputs(tmp_path: Path) -> None:
    (tmp_path / "equal").write_text("a b")
    (tmp_path / "more.yaml").write_text("a: 1")
    text = f"--equivalences {tmp_path}/equal --config {tmp_path}/more.yaml"
    records = ["stage 11 score", "step dir --input ref", "launch train_cmd log python -m score"]
    data = declared(*records, end=False)
    data += b"".join(f"{w}\0".encode() for w in ("3", "options", "--score_args", text, "1", "end"))
    (work,) = parse_declarations(data).stages[0].works
    assert work.commands[0].words[-4:] == tuple(text.split())
    assert work.steps[0].inputs == ["ref", f"{tmp_path}/equal"]


def test_a_shell_that_stopped_is_noticed() -> None:
    for data in (b"", declared("stage 1 data", end=False)):
        with pytest.raises(EOFError):
            parse_declarations(data)


def test_a_wrong_option_of_a_step_is_one_sentence() -> None:
    with pytest.raises(UserError, match="unrecognized arguments: --inputs"):
        parse_declarations(declared("stage 1 data", "step data --inputs a"))


def test_several_gpus_and_nodes_go_through_the_launcher_of_espnet() -> None:
    launcher = Launcher({"cuda_cmd": ["slurm.pl", "--name", "a b"]}, ngpu=2, num_nodes=3)
    words = launcher.words(Command("launch_training", ("python",), "cuda_cmd", "exp/a/train.log"))
    assert words[:9] == [
        "python", "-m", "espnet2.bin.launch", "--cmd", "slurm.pl --name 'a b'", "--log",
        "exp/a/train.log", "--ngpu", "2",
    ]  # fmt: skip
    assert words[9:] == ["--num_nodes", "3", "--init_file_prefix", "exp/a/.init_", "--", "python"]


def test_threads_are_shared_out_on_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    here, there = ["run.pl", "--name", "x"], ["slurm.pl"]
    assert Launcher({"train_cmd": here}).threads(10**6) == 1
    assert Launcher({"train_cmd": here}).threads(1) is None
    assert Launcher({"train_cmd": here, "cuda_cmd": there}).threads(2) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Launcher({"train_cmd": here}).threads(2) is None


def test_a_stage_is_a_function_that_declares_steps() -> None:
    script = f"""set -euo pipefail
. {TEMPLATE}/slm_engine.sh
exp=exp/mini raw=dump/raw
{block_with("extending.md", "bash", "stage_characters")}
record wrapper train_cmd run.pl
record stage 1 characters
stage_characters
record end"""
    done = subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.PIPE)
    found = parse_declarations(done.stdout)
    (work,) = found.stages[0].works
    (step,) = work.steps
    assert (step.directory, step.inputs) == ("exp/mini/characters", ["dump/raw/train/text"])
    assert step.outputs == ["exp/mini/characters/counts"]
    words = Launcher(found.wrappers).words(work.commands[0])
    assert words[:4] == ["run.pl", "exp/mini/characters/log/count.log", "python", "-m"]


def test_the_step_that_the_documents_show_is_one_of_the_recipe() -> None:
    shown = block_with("recipe.md", "bash", "step ")
    stages = (TEMPLATE / "slm_stages_data.sh").read_text(encoding="utf-8")
    assert " ".join(shown.split()) in " ".join(stages.split())
