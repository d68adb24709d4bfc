"""The same command goes on; another configuration in the same directory is refused."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bad_input import files_in
from data_dir import write_data_dir
from tiny_training import CONFIG, TinyTraining

from espnet_otreg.data.audio.recording import read_recordings
from espnet_otreg.data.digests import digests_of, trained_without
from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, read_yaml, write_json
from espnet_otreg.tasks.same_config import content_of_inputs, differences
from espnet_otreg.tasks.training_dir import Start, plan_start, remove_training

README = ("--max_epoch", "4")  # the command of the README has no --resume


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def stopped(tiny_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was stopped in its third epoch."""
    directory = tmp_path_factory.mktemp("stopped") / "exp"
    asked = {"kind": "signal", "name": "SIGTERM", "nth": 15}  # 3 batches and 4 of validation
    run = tiny_training.train(directory, *README, fault=asked)
    assert run.returncode == os.EX_TEMPFAIL, run.stderr[-2000:]
    assert "of epoch 3; run the same command again" in run.stderr.splitlines()[-1]
    return directory


def test_the_same_command_goes_on_and_then_says_that_it_is_finished(
    tiny_training: TinyTraining, stopped: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "exp"
    shutil.copytree(stopped, directory, symlinks=True)
    before = contents(directory)
    for options, says in (
        (("--resume", "true", "--optim_conf", "lr=0.5"), "(optim_conf.lr: 0.002 -> 0.5)"),
        (("--resume", "false"), "which --resume false would lose"),
        (("--collect_stats", "true"), "give --collect_stats another --output_dir"),
    ):
        done = tiny_training.train(directory, *README, *options)
        assert done.returncode == 1 and says in done.stderr.splitlines()[-1], done.stderr[-2000:]
        assert contents(directory) == before

    # Ctrl-C saves, too, and asks no batch system to try again.
    asked = {"kind": "signal", "name": "SIGINT", "nth": 2}
    run = tiny_training.train(directory, *README, fault=asked)
    assert run.returncode == 130 and "Epoch 3 goes on after batch 1" in run.stderr
    assert "stopped by SIGINT after batch 3 of epoch 3; run the" in run.stderr.splitlines()[-1]

    run = tiny_training.train(directory, *README)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "Epoch 3 goes on after batch 3" in run.stderr
    assert read_json(directory / "finished.json")["epochs"] == 4

    before, times = contents(directory), files_in(directory)
    run = tiny_training.train(directory, *README, "--log_interval", "1")
    assert run.returncode == 0 and f"{directory}: finished: 4 epochs" in run.stdout
    assert contents(directory) == before and files_in(directory) == times

    run = tiny_training.train(directory, "--max_epoch", "5")
    assert run.returncode == 0 and (directory / "5epoch.pth").is_file(), run.stderr[-2000:]
    assert read_yaml(directory / "config.yaml")["max_epoch"] == 5
    refused = tiny_training.train(directory, *README)
    assert "max_epoch: 5 -> 4, and 5 epochs are done" in refused.stderr.splitlines()[-1]

    (directory / "notes.txt").write_text("mine")
    (directory / "other.pth").write_text("mine")
    options = ("--max_epoch", "1", "--overwrite", "true")
    before = contents(directory)
    bad = tiny_training.train(directory, *options, config={"freeze": ["."]})
    assert bad.returncode == 1 and contents(directory) == before  # known when the model is built
    run = tiny_training.train(directory, *options, config={"optim_conf": {"lr": 0.5}})
    assert run.returncode == 0, run.stderr[-2000:]
    assert read_yaml(directory / "config.yaml")["optim_conf"]["lr"] == 0.5
    assert {p.name for p in directory.glob("*epoch.pth")} == {"1epoch.pth"}
    assert (directory / "notes.txt").exists() and (directory / "other.pth").exists()


Change = Callable[[dict[str, Any]], object]


def _set(option: str, value: Any) -> Change:
    def change(options: dict[str, Any]) -> None:
        section, _, key = option.partition(".")
        if key:
            options[section] = {**options[section], key: value}
        else:
            options[section] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set("optim_conf.lr", 0.5), "(optim_conf.lr: 0.002 -> 0.5)"),
        (_set("scheduler", "warmuplr"), "scheduler: null -> warmuplr"),
        (_set("scheduler_conf", {"warmup_steps": 9}), "scheduler_conf.warmup_steps: not set -> 9"),
        (_set("accum_grad", 4), "accum_grad: 1 -> 4"),
        (_set("batch_size", 4), "batch_size: 8 -> 4"),
        (_set("grad_clip", 1.0), "grad_clip: 5.0 -> 1.0"),
        (_set("freeze", ["readout"]), "freeze.0: not set -> readout"),
        (_set("seed", 4), "seed: 3 -> 4"),
        (_set("use_amp", True), "use_amp: false -> true"),
        (_set("projector_conf.stack", 3), "projector_conf.stack: 2 -> 3"),
        (_set("regularizers", [{"otreg": {"weight": 0.9}}, {"ctc": {"weight": 0.3}}]),
         "regularizers.0.otreg.weight: 0.3 -> 0.9"),
        (_set("llm_conf.lora_rank", 4), "llm_conf.lora_rank: 2 -> 4"),
        (_set("train_shape_file", ["other"]), "train_shape_file.0: "),
        (_set("keep_nbest_models", 9), "keep_nbest_models: 2 -> 9"),
        (_set("max_epoch", 1), "max_epoch: 4 -> 1, and 2 epochs are done"),
        (_set("patience", 1), "patience: None -> 1"),
    ],
)  # fmt: skip
def test_what_changes_what_is_learnt_is_refused(stopped: Path, change: Change, says: str) -> None:
    options = read_yaml(stopped / "config.yaml")
    inputs = options.pop("inputs")
    for resume in (True, False):
        options["resume"] = resume
        change(options)
        with pytest.raises(UserError) as refused:
            plan_start(options, {}, inputs)
        assert str(refused.value).startswith(f"{stopped}: holds a training of 2 epochs")
        assert says in str(refused.value) if resume else "--resume false" in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        _set("num_workers", 3),
        _set("log_interval", 7),
        _set("use_tensorboard", True),
        _set("ngpu", 1),
        _set("config", "moved/train.yaml"),
        _set("sanity", True),
        _set("llm_conf.activation_checkpointing", True),
        _set("llm_conf.lora_alpha", 32),  # what it is without being said
        _set("max_epoch", 9),
        _set("max_epoch", 2),  # ends where it is
        _set("patience", None),
    ],
)
def test_what_changes_nothing_may_differ(stopped: Path, change: Change) -> None:
    options = read_yaml(stopped / "config.yaml")
    inputs = options.pop("inputs")
    change(options)
    assert plan_start(options, {}, inputs) == Start(stopped, False, inputs)


def test_an_option_that_an_older_version_did_not_know_is_no_difference(stopped: Path) -> None:
    options = read_yaml(stopped / "config.yaml")
    inputs = options.pop("inputs")
    defaults = {"new_option": 3}
    assert plan_start({**options, "new_option": 3}, defaults, inputs) is not None
    with pytest.raises(UserError, match=r"\(new_option: not set -> 4\)"):
        plan_start({**options, "new_option": 4}, defaults, inputs)


def test_the_end_of_a_planned_schedule_cannot_be_moved(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "exp", symlinks=True)
    options = read_yaml(stopped / "config.yaml")
    options.update(output_dir=str(tmp_path / "exp"), scheduler="onecyclelr")
    (tmp_path / "exp/config.yaml").write_text(yaml.safe_dump(options))
    inputs = options.pop("inputs")
    with pytest.raises(UserError, match="max_epoch: 4 -> 5, and onecyclelr plans for its end"):
        plan_start({**options, "max_epoch": 5}, {}, inputs)


def test_what_the_tables_hold_is_part_of_the_configuration(stopped: Path, tmp_path: Path) -> None:
    options = read_yaml(stopped / "config.yaml")
    inputs = options.pop("inputs")
    assert content_of_inputs(options) == inputs and len(inputs) == 10, inputs
    text = next(path for path in inputs if path.endswith("train/text"))
    own = copy.deepcopy(options)
    shutil.copy(text, tmp_path / "text")
    own["train_data_path_and_name_and_type"] = [[str(tmp_path / "text"), "text", "text"]]
    before = content_of_inputs(own)
    lines = Path(text).read_text().replace("press one", "press two", 1)
    (tmp_path / "text").write_text(lines)
    assert [p for p, d in content_of_inputs(own).items() if before[p] != d] == [f"{tmp_path}/text"]
    with pytest.raises(UserError, match=rf"\(the content of {text}\)"):
        plan_start(options, {}, {**inputs, text: "other"})


def test_the_same_files_by_other_names(
    tiny_training: TinyTraining, stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = read_yaml(stopped / "config.yaml")
    del options["inputs"]
    root = tiny_training.root
    (tmp_path / "link").symlink_to(root)
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(root)

    def renamed(value: Any, other: str) -> Any:
        if isinstance(value, dict):
            return {key: renamed(inner, other) for key, inner in value.items()}
        if isinstance(value, list):
            return [renamed(inner, other) for inner in value]
        return value.replace(f"{root}/", other) if isinstance(value, str) else value

    kept = {key: options[key] for key in ("config", "output_dir")}
    for other in ("", "./", f"../{root.name}/", f"{tmp_path}/link/",
                  f"{tmp_path}/copy/"):  # fmt: skip
        now = {**renamed(options, other), **kept}
        assert now["train_shape_file"] != options["train_shape_file"]
        inputs = content_of_inputs(now)
        assert plan_start(now, {}, inputs) == Start(stopped, False, inputs)
    with open(tmp_path / "copy/train/text", "a") as file:
        file.write("more text\n")
    with pytest.raises(UserError, match="name_and_type.*/copy/train/text"):
        plan_start(now, {}, content_of_inputs(now))


def test_models_without_a_checkpoint_are_not_trained_over(
    tiny_training: TinyTraining, stopped: Path, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path / "exp", symlinks=True)
    for path in tmp_path.glob("exp/checkpoint*"):
        path.unlink()

    def kept() -> dict[str, bytes]:
        (tmp_path / "exp/.lock").unlink(missing_ok=True)
        return contents(tmp_path / "exp")

    before = kept()
    for name in ("interrupted.pth", "none"):
        run = tiny_training.train(tmp_path / "exp", *README)
        assert run.returncode == 1 and run.stderr.splitlines()[-1].endswith(
            "models of epochs, but no checkpoint.pth; restore checkpoint.pth, or give --overwrite "
            "true to train anew"
        )
        assert kept() == before
        before.pop(str(tmp_path / "exp" / name), None)
        (tmp_path / "exp" / name).unlink(missing_ok=True)


def test_an_output_directory_that_is_a_file(stopped: Path, tmp_path: Path) -> None:
    options = read_yaml(stopped / "config.yaml")
    (tmp_path / "exp").touch()
    with pytest.raises(UserError, match="exp: a file, and no directory; give another --output_dir"):
        plan_start({**options, "output_dir": str(tmp_path / "exp")}, {}, {})


def test_large_weights_are_known_by_parts(tmp_path: Path) -> None:
    options = {"llm_conf": {"model": str(tmp_path)}}
    weights = bytearray(3 << 20)
    seen = set()
    for change in (0, 1 << 20, len(weights) - 1):
        weights[change] ^= 1
        (tmp_path / "model.safetensors").write_bytes(weights)
        seen.add(content_of_inputs(options)[str(tmp_path)])
    (tmp_path / "model.safetensors").write_bytes(weights[:-1])
    seen.add(content_of_inputs(options)[str(tmp_path)])
    assert len(seen) == 4


def test_a_directory_of_an_older_version_goes_on_if_its_configuration_is_the_same(
    stopped: Path, tmp_path: Path
) -> None:
    shutil.copytree(stopped, tmp_path / "exp", symlinks=True)
    options = read_yaml(stopped / "config.yaml")
    options["output_dir"] = str(tmp_path / "exp")
    inputs = options.pop("inputs")
    (tmp_path / "exp/config.yaml").write_text(yaml.safe_dump(options))
    assert plan_start(options, {}, inputs) == Start(tmp_path / "exp", False, inputs)
    with pytest.raises(UserError, match="seed: 3 -> 5"):
        plan_start({**options, "seed": 5}, {}, inputs)
    (tmp_path / "exp/config.yaml").write_text("{")
    with pytest.raises(UserError, match="config.yaml cannot be read .*--overwrite true"):
        plan_start(options, {}, inputs)
    (tmp_path / "exp/config.yaml").unlink()
    with pytest.raises(UserError, match="config.yaml cannot be read .*--overwrite true"):
        plan_start(options, {}, inputs)


def test_before_anything_was_saved_another_configuration_may_begin(tmp_path: Path) -> None:
    options = {**CONFIG, "output_dir": str(tmp_path), "seed": 1, "max_epoch": 2}
    assert plan_start(options, {}, {}) == Start(tmp_path, False, {})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**options, "seed": 2}))
    assert plan_start(options, {}, {}) == Start(tmp_path, True, {})  # its reports are removed
    (tmp_path / "interrupted.pth").touch()
    with pytest.raises(UserError, match="holds a training of 0 epochs .*seed: 2 -> 1"):
        plan_start(options, {}, {})


def test_only_what_a_training_wrote_is_removed(tmp_path: Path) -> None:
    mine = {"notes.txt", "other.pth", "train.log", "images/mine.pdf", "ctc/test/text", "epoch.pth"}
    left = {"checkpoint.pth", "checkpoint.previous.pth", "interrupted.pth", "finished.json",
            "1epoch.pth", "12epoch.pth", "latest.pth", "valid.loss.best.pth",
            "valid.loss.ave_2best.pth", "valid.loss.ave.pth", "train.loss.ave_2best.till4epoch.pth",
            "images/loss.png", "tensorboard/train/events.out.tfevents.1"}  # fmt: skip
    for name in mine | left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    remove_training(tmp_path)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == mine


@pytest.mark.parametrize("digests", ["in a table", "of the files"])
def test_replaced_recordings_and_skipped_ones_are_other_inputs(
    tmp_path: Path, digests: str
) -> None:
    data = write_data_dir(tmp_path / "data", [0.1, 0.2])
    wav = Path(read_table(data / "wav.scp")["it_core_a_000"])
    sources = [[str(data / "wav.scp"), "speech", "sound"], [str(data / "text"), "text", "text"]]
    options = {"train_data_path_and_name_and_type": sources}

    def inputs() -> dict[str, str]:
        if digests == "in a table":
            write_table(data / "utt2digest", digests_of(read_recordings(data / "wav.scp")))
        return content_of_inputs(options)

    before = inputs()
    assert trained_without({"inputs": before}) == ""
    wav.write_bytes(wav.read_bytes()[:-1] + b"\1")
    after = inputs()
    assert differences({"inputs": before}, {"inputs": after}, {}) == [
        f"the content of {data}/utt2digest"
    ]
    (data / "unreadable").write_text("it_core_a_009 no.wav: truncated\n")
    assert trained_without({"inputs": inputs()}) not in ("", None)


def test_features_are_known_by_their_content_also_in_parts(tmp_path: Path) -> None:
    described = tmp_path / "feats.json"
    (tmp_path / "feats.scp").mkdir()  # of espnet2.bin.split_scps
    sources = [[str(tmp_path / "feats.scp"), "speech", "kaldi_ark"]]
    options = {"train_data_path_and_name_and_type": sources}
    write_json(described, {"dim": 4, "content": "0a", "unreadable": None})
    before = content_of_inputs(options)
    write_json(described, {"dim": 4, "content": "0b", "unreadable": "7f"})
    after = content_of_inputs(options)
    assert before[str(described)] != after[str(described)]
    assert trained_without({"inputs": before}) == ""
    assert trained_without({"inputs": after}) == after[str(tmp_path / "unreadable")]
