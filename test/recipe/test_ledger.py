"""When a step has to run, and what a change is called."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

from espnet_otreg.errors import UserError
from espnet_otreg.recipe.formats import HISTORY
from espnet_otreg.recipe.ledger import Decision, Step, examine, finish, prepare


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A step with one input and one output, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    Path("input").write_text("in")
    Path("conf.yaml").write_text("max_epoch: 4\noptim_conf: {lr: 0.1}\nnum_workers: 1\n")
    return Step(
        stage="pretrain",
        directory="exp/a",
        settings={"llm": "qwen"},
        commands=["run.pl a.log python -m slm_train --config conf.yaml --nj 2 --seed 1".split()],
        inputs=("input",),
        outputs=("exp/a/model",),
    )


def begin(step: Step, force: bool = False) -> Decision:
    decision = examine(step, force)
    if decision.record is not None:
        prepare(step, decision)
    return decision


def perform(step: Step, force: bool = False, content: str = "made") -> str:
    """Run a step as the driver does; the reason why it ran or not."""
    decision = begin(step, force)
    if decision.record is not None:
        Path(step.outputs[0]).write_text(content)
        finish(step.directory, json.loads(json.dumps(decision.record)), 1.0)
    return decision.reason


def with_command(step: Step, *words: str) -> Step:
    return dataclasses.replace(step, commands=[[*step.commands[0], *words]])


def test_a_finished_step_is_up_to_date(step: Step) -> None:
    assert perform(step) == "not done yet"
    assert perform(step) == "up to date"


def test_done_holds_settings_inputs_and_outputs(step: Step) -> None:
    perform(step)
    done = json.loads(Path("exp/a/.done").read_text())
    assert done["settings"] == {
        "llm": "qwen",
        "max_epoch": "4",
        "module": "slm_train",
        "optim_conf.lr": "0.1",
        "seed": "1",
    }
    assert done["inputs"]["input"]["size"] == 2
    assert len(done["inputs"]["input"]["sha256"]) == 64
    assert done["outputs"]["exp/a/model"]["size"] == 4
    assert not Path("exp/a/.started").exists()


def test_processes_and_wrappers_do_not_count(step: Step) -> None:
    perform(step)
    words = [word if word != "2" else "8" for word in step.commands[0]]
    words[0] = "slurm.pl"
    assert perform(dataclasses.replace(step, commands=[words])) == "up to date"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: with_command(s, "--seed", "2"), "seed was 1, is 1 , 2"),
        (lambda s: with_command(s, "--optim_conf", "lr=0.2"), "optim_conf.lr was 0.1, is 0.2"),
        (lambda s: with_command(s, "--full"), "full was not set, is true"),
        (lambda s: dataclasses.replace(s, settings={}), "llm was qwen, is not set"),
        (lambda s: Path("input").write_text("on") and s, "input input changed"),
        (lambda s: dataclasses.replace(s, inputs=()), "input input changed"),
        (lambda s: Path("conf.yaml").write_text("x: 1") and s, "max_epoch was 4, is not set"),
        (lambda s: Path("exp/a/model").unlink() or s, "exp/a/model is missing"),
        (lambda s: Path("exp/a/model").write_text("x") and s, "exp/a/model had 4 bytes, has 1"),
        (lambda s: Path("exp/a/model").write_text("MADE") and s, "exp/a/model was changed"),
        (lambda s: Path("exp/a/.done").unlink() or s, "not done yet"),
    ],
)
def test_a_change_is_named_and_runs_the_step(step: Step, change, reason: str) -> None:
    perform(step)
    changed = change(step)
    assert reason in perform(changed)
    assert perform(changed) == "up to date"


def test_all_changes_are_named(step: Step) -> None:
    perform(step)
    reason = perform(with_command(step, "--optim_conf", "lr=0.2", "--full"))
    assert "optim_conf.lr" in reason
    assert "full" in reason


def test_a_new_output_of_the_recipe_is_missing(step: Step) -> None:
    perform(step)
    grown = dataclasses.replace(step, outputs=(*step.outputs, "exp/a/more"))
    assert begin(grown).reason == "exp/a/more is wanted now"


def test_a_touched_input_with_the_same_content_changes_nothing(step: Step) -> None:
    perform(step)
    Path("input").write_text("in")
    assert perform(step) == "up to date"


def test_directories_count_as_their_files(step: Step) -> None:
    Path("many/.hidden").mkdir(parents=True)
    Path("many/a").write_text("1")
    Path("many/.hidden/b").write_text("1")
    step = dataclasses.replace(step, inputs=("many",))
    perform(step)
    assert list(json.loads(Path("exp/a/.done").read_text())["inputs"]) == ["many/a"]
    Path("many/c").write_text("2")
    assert perform(step) == "input many/c changed"


def test_predecessors_are_required_and_noticed(step: Step) -> None:
    first = dataclasses.replace(step, directory="exp/first", outputs=("exp/first/x",))
    second = dataclasses.replace(step, upstream=("exp/first",), inputs=())
    with pytest.raises(UserError, match="exp/first: is not finished; run its stage first"):
        begin(second)
    perform(first)
    perform(second)
    perform(with_command(first, "--full"))
    assert perform(second) == "exp/first was made anew"


def test_a_predecessor_that_made_the_same_again_changes_nothing(step: Step) -> None:
    first = dataclasses.replace(step, directory="exp/first", outputs=("exp/first/x",))
    second = dataclasses.replace(step, upstream=("exp/first",), inputs=())
    perform(first)
    perform(second)
    Path("input").write_text("on")
    assert perform(first) == "input input changed"
    assert perform(second) == "up to date"
    assert perform(first, force=True, content="something else") == "forced"
    assert perform(second) == "exp/first was made anew"


def test_a_missing_input_is_named(step: Step) -> None:
    Path("input").unlink()
    with pytest.raises(UserError, match="input: no such file"):
        begin(step)


def test_an_empty_or_missing_output_is_no_success(step: Step) -> None:
    record = begin(step).record
    assert record is not None
    with pytest.raises(UserError, match="exp/a/model: no such file"):
        finish("exp/a", record, 1.0)
    Path("exp/a/model").write_text("")
    with pytest.raises(UserError, match="exp/a/model: is empty"):
        finish("exp/a", record, 1.0)
    assert not Path("exp/a/.done").exists()


def test_an_interrupted_step_goes_on_with_its_parts(step: Step) -> None:
    begin(step)
    Path("exp/a/parts").mkdir()
    assert begin(step).reason == "it was interrupted"
    assert Path("exp/a/parts").exists()


def test_parts_and_outputs_made_with_other_settings_go_and_other_files_stay(step: Step) -> None:
    perform(step)
    Path("exp/a/parts").mkdir()
    Path("exp/a/notes").write_text("mine")
    begin(with_command(step, "--full"))
    assert sorted(path.name for path in Path("exp/a").iterdir()) == [".started", "notes"]


def test_force_runs_again(step: Step) -> None:
    perform(step)
    assert perform(step, force=True) == "forced"


def test_training_with_other_settings_is_refused(step: Step) -> None:
    step = dataclasses.replace(step, training=True)
    perform(step)
    changed = with_command(step, "--optim_conf", "lr=0.2")
    refusal = r"exp/a: holds a training run with other settings: optim_conf.lr was 0.1, is 0.2; use"
    with pytest.raises(UserError, match=refusal):
        begin(changed)
    assert Path("exp/a/model").read_text() == "made"
    assert perform(step) == "up to date"


def test_an_unfinished_training_with_other_settings_is_refused(step: Step) -> None:
    step = dataclasses.replace(step, training=True)
    begin(step)
    Path("exp/a/checkpoint.pth").write_text("half")
    with pytest.raises(UserError, match="other settings"):
        begin(with_command(step, "--full"))
    assert begin(step).reason == "it was interrupted"


def test_a_training_of_unknown_origin_is_refused(step: Step) -> None:
    Path("exp/a").mkdir(parents=True)
    Path("exp/a/checkpoint.pth").write_text("?")
    with pytest.raises(UserError, match="unknown settings"):
        begin(dataclasses.replace(step, training=True))


def test_force_starts_a_training_anew(step: Step) -> None:
    step = dataclasses.replace(step, training=True)
    perform(step)
    Path("exp/a/checkpoint.pth").write_text("old")
    assert perform(with_command(step, "--full"), force=True) == "forced"
    assert not Path("exp/a/checkpoint.pth").exists()


def test_more_epochs_resume_and_fewer_are_refused(step: Step) -> None:
    step = dataclasses.replace(step, training=True)
    perform(step)
    Path("exp/a/checkpoint.pth").write_text("4 epochs")
    longer = with_command(step, "--max_epoch", "8")
    assert perform(longer) == "max_epoch was 4, is 8"
    assert Path("exp/a/checkpoint.pth").exists()
    with pytest.raises(UserError, match="max_epoch was 8, is 4"):
        begin(step)
    with pytest.raises(UserError, match="full was not set, is true; max_epoch was 8, is 9"):
        begin(with_command(step, "--max_epoch", "9", "--full"))


@pytest.fixture
def packing(step: Step) -> Step:
    words = "python -m espnet_otreg.bin.slm_pack --output exp/a".split()
    return dataclasses.replace(step, commands=[words])


def test_the_format_of_what_a_command_makes_is_a_fact(
    packing: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform(packing)
    record = json.loads(Path("exp/a/.done").read_text())
    assert record["settings"]["format"] == "1"
    monkeypatch.setitem(HISTORY, "slm_pack", ("the first one", "another prompt"))
    assert perform(packing) == "format was 1, is 2"
    assert perform(packing) == "up to date"
    for stated_only in (True, False):  # also where the rest of the command does not count
        again = dataclasses.replace(packing, stated_only=stated_only)
        perform(again)
        monkeypatch.setitem(HISTORY, "slm_pack", (*HISTORY["slm_pack"], "and another"))
        assert perform(again).startswith("format was ")


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (["local/data.sh", "--output", "data"], "local/data.sh"),
        (["local/text.sh", "--data_root", ""], "local/text.sh"),
        (["python", "../../../tools/fetch_model.py", "whisper-base"], "tools/fetch_model.py"),
    ],
)
def test_the_format_of_what_a_script_gets_is_a_fact(
    step: Step, words: list[str], script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = dataclasses.replace(step, commands=[words])
    perform(step)
    count = len(HISTORY[script])
    monkeypatch.setitem(HISTORY, script, (*HISTORY[script], "another split"))
    assert perform(step) == f"format was {count}, is {count + 1}"


def test_a_training_by_an_earlier_format_is_not_mixed(
    packing: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = dataclasses.replace(packing, training=True)
    perform(training)
    monkeypatch.setitem(HISTORY, "slm_pack", ("the first one", "another loss"))
    with pytest.raises(UserError, match="other settings: format was 1, is 2; use --force"):
        begin(training)


def test_records_without_a_format_are_of_the_first_one(packing: Step) -> None:
    perform(packing)
    path = Path("exp/a/.done")
    record = json.loads(path.read_text())
    del record["settings"]["format"]
    path.write_text(json.dumps(record))
    assert perform(packing) == "up to date"


def test_every_command_of_the_driver_has_a_format() -> None:
    template = Path(__file__).parents[2] / "egs2/TEMPLATE/slm1"
    shell = "".join(path.read_text() for path in template.glob("slm_stages_*.sh"))
    # What slm_table prints at the end of a run belongs to no step.
    commands = set(re.findall(r"-m espnet_otreg\.bin\.(\w+)", shell)) - {"slm_table"}
    scripts = set(re.findall(r"(?:local|tools)/\w+\.(?:sh|py)", shell))
    assert commands | scripts == set(HISTORY)


def test_shards_are_outputs_that_only_force_removes(step: Step) -> None:
    step = dataclasses.replace(step, shards=("exp/a/jobs",))
    Path("exp/a/jobs/1").mkdir(parents=True)
    shard = Path("exp/a/jobs/1/feats.ark")
    shard.write_text("encoded")
    perform(step)
    shard.write_text("ENCODED")
    assert perform(step) == f"{shard} was changed"
    begin(with_command(step, "--full"))
    assert shard.exists() and not Path("exp/a/model").exists()
    perform(step)
    begin(step, force=True)
    assert not shard.exists()


def test_optional_inputs_count_once_they_are_there(step: Step) -> None:
    step = dataclasses.replace(step, optional_inputs=("segments",))
    perform(step)
    Path("segments").write_text("a b 0 1")
    assert perform(step) == "input segments changed"


def replace_in_place(path: Path, content: bytes) -> None:
    """Write as many other bytes and put the time of modification back."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_an_input_of_the_same_size_and_time_is_not_the_same(step: Step) -> None:
    perform(step)
    replace_in_place(Path("input"), b"on")
    assert perform(step) == "input input changed"


def test_a_replaced_recording_calls_the_command_again(step: Step) -> None:
    Path("data").mkdir()
    Path("a.wav").write_bytes(b"RIFF0000")
    Path("data/wav.scp").write_text("x a.wav\n")
    reading = dataclasses.replace(step, recordings=("data",))
    perform(reading)
    assert perform(reading) == "up to date"
    replace_in_place(Path("a.wav"), b"RIFF1111")
    assert perform(reading) == "input recordings of data changed"
    assert perform(reading) == "up to date"
    Path("a.wav").unlink()
    assert perform(reading) == "input recordings of data changed"
