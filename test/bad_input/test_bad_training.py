"""Trainings that cannot work: most mistakes are found before ESPnet is loaded."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_input import ForkServer, Outcome, assert_refused, files_in, nothing_written
from tiny_training import TinyTraining

from espnet_otreg.files import lock_directory

from .conftest import FullDisk

Train = Callable[..., Outcome]
# Whole files that hold no result.
SETTINGS = ("/exp.yaml", "/exp/config.yaml", "/exp/languages.json")


@pytest.fixture
def own(tiny_training: TinyTraining, tmp_path: Path) -> TinyTraining:
    """A copy whose files can be spoilt."""
    shutil.copytree(tiny_training.root, tmp_path / "own")
    return dataclasses.replace(tiny_training, root=tmp_path / "own")


@pytest.fixture
def train(own: TinyTraining, fork_server: ForkServer, tmp_path: Path) -> Train:
    """train(options, config): train ``own`` into tmp_path/exp."""

    def run(*options: object, config: dict[str, Any] | None = None, **limits: int) -> Outcome:
        words = own.command(tmp_path / "exp", "--max_epoch", "1", *options, config=config)
        return fork_server("slm_train", *words[3:], **limits)

    return run


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"projektor": "stack_mlp"}, ("projektor: unknown key", "did you mean 'projector'")),
        ({"regularizers": [{"otrge": {}}]}, ("'otrge'", "did you mean 'otreg'")),
        ({"regularizers": [{"ctc": {"weigth": 1}}]}, ("weigth", "did you mean 'weight'")),
        ({"projector_conf": {"stack": "three"}}, ("projector_conf.stack: expected int", "three")),
        ({"projector": "stack_mpl"}, ("'stack_mpl'", "did you mean 'stack_mlp'")),
        ({"freeze": ["("]}, ("freeze: '(' is not a regular expression",)),
        ({"init_param": ["no.pth"]}, ("--init_param: there is no file no.pth",)),
        ({"optim": "adamww"}, ("optim: ESPnet has no 'adamww'", "did you mean 'adamw'")),
        ({"optim_conf": {"lr": "3e-4"}}, ("optim_conf.lr: '3e-4' is text", "3.0e-4")),
        ({"batch_type": "unsrted"}, ("batch_type", "did you mean 'unsorted'")),
        ({"best_model_criterion": [["valid", "loss", "minn"]]}, ("best_model_criterion", "minn")),
        ({"prompt_conf": {"chat": True}}, ("prompt_conf.chat: the LLM has no chat template",)),
        (
            {"encoder": "hf_whisper", "encoder_conf": {"model": "/no/whisper"}},
            ("encoder_conf.model: no such directory: /no/whisper",),
        ),
    ],
    ids=[
        "key",
        "regularizer",
        "its key",
        "type",
        "name",
        "expression",
        "checkpoint",
        "optimiser",
        "number",
        "batches",
        "criterion",
        "chat",
        "encoder",
    ],
)
def test_mistakes_in_the_yaml_file(
    train: Train, tmp_path: Path, config: dict[str, Any], says: tuple[str, ...]
) -> None:
    with nothing_written(tmp_path, but=SETTINGS[:1]):
        assert_refused(train(config=config), tmp_path / "exp.yaml", "1 configuration error", *says)


def test_no_yaml_at_all(fork_server: ForkServer, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    with nothing_written(tmp_path, but=["/train.yaml"]):
        done = fork_server("slm_train", "--config", path, "--output_dir", tmp_path / "exp")
        assert_refused(done, path, "no such configuration")
        path.write_text("optim: adamw\nbatch_size: [8\n")
        done = fork_server("slm_train", "--config", path, "--output_dir", tmp_path / "exp")
        assert_refused(done, f"{path}:3", "not valid YAML")
        path.write_text("just words\n")
        done = fork_server("slm_train", "--config", path, "--output_dir", tmp_path / "exp")
        assert_refused(done, path, "expected keys and values")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--max_epcoh", "3"), "--max_epcoh: unknown option; did you mean 'max_epoch'?"),
        (("--llm_conf", "model=/no/such/llm"), "llm_conf.model: no such directory: /no/such/llm"),
        (("--readout_conf", "classes=no.json"), "readout_conf.classes: no such file: no.json"),
        (("--train_data_path_and_name_and_type", "text"), "expected path,name,type, found 'text'"),
        (("--train_shape_file", "no_shape"), "no_shape: no such file; check --train_shape_file"),
    ],
    ids=["option", "LLM", "token classes", "data", "lengths"],
)
def test_mistakes_on_the_command_line(
    train: Train, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    with nothing_written(tmp_path, but=SETTINGS[:1]):
        assert_refused(train(*options), "1 configuration error", says)


def _edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def edit(train_dir: Path) -> None:
        text = (train_dir / name).read_text()
        assert old in text
        (train_dir / name).write_text(text.replace(old, new, 1))

    return edit


def _swap_lines(train_dir: Path) -> None:
    lines = (train_dir / "text").read_text().splitlines(keepends=True)
    (train_dir / "text").write_text("".join([lines[1], lines[0], *lines[2:]]))


FIRST, SECOND = "en_tiny_a_00", "en_tiny_a_01"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_edit("feats.scp", f"{FIRST} ", f"{FIRST} /no"), "there is no file '/no/"),
        (lambda d: (d / "feats.scp").unlink(), "train/feats.scp: no such file"),
        (lambda d: (d / "feats.json").unlink(), "train/feats.json: missing; extract features"),
        (_edit("text", f"{FIRST} ", "en_tiny_a_00x "), f"'{FIRST}' is in only one of"),
        (_swap_lines, f"train/text:2: not sorted ('{FIRST}' after '{SECOND}')"),
        (_edit("text", f"{SECOND} ", f"{FIRST} "), f"train/text:2: duplicate id '{FIRST}'"),
        (_edit("text", "press one now\n", "\n"), f"train/text:1: utterance '{FIRST}': the tran"),
        (_edit("utt2lang", " en\n", " xx\n"), "train/utt2lang:1: utterance 'en_tiny_a_00': unkn"),
        (_edit("speech_shape", FIRST, "aa"), "train/speech_shape: 'aa' is not in"),
    ],
    ids=["archive", "feats.scp", "feats.json", "keys", "unsorted", "duplicate", "no transcript",
         "language", "lengths"],
)  # fmt: skip
def test_faults_of_the_data(
    train: Train, own: TinyTraining, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(own.root / "train")
    with nothing_written(tmp_path, but=SETTINGS[:1]):
        assert_refused(train(), tmp_path / "exp.yaml", says)


def test_training_without_transcripts(
    own: TinyTraining, fork_server: ForkServer, tmp_path: Path
) -> None:
    words = own.command(tmp_path / "exp", "--max_epoch", "1")[3:]
    place = words.index(f"{own.root}/train/text,text,text")
    del words[place - 1 : place + 1]
    with nothing_written(tmp_path):
        done = fork_server("slm_train", *words)
        assert_refused(done, "--train_data_path_and_name_and_type: no data named 'text'")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"freeze": ["."]}, ("train, freeze", "no parameter is trainable")),
        ({"freeze": ["projektor"]}, ("freeze: 'projektor' matches no parameter", "'projector'")),
        ({"llm_conf": {"adapter": "lora", "lora_targets": ["wq"]}}, ("no layer", "named wq")),
        ({"llm_conf": {"anchor_token": "<blank>"}}, ("anchor_token", "no token '<blank>'")),
    ],
    ids=["nothing", "no match", "no such layer", "no such token"],
)
def test_models_that_cannot_be_built(
    train: Train, tmp_path: Path, config: dict[str, Any], says: tuple[str, ...]
) -> None:
    with nothing_written(tmp_path, but=SETTINGS):
        assert_refused(train(config=config), *says)


def test_what_only_espnet_and_pytorch_know_is_one_sentence(
    train: Train, own: TinyTraining, tmp_path: Path
) -> None:
    betas = {"optim_conf": {"lr": 0.1, "betas": [0.9, 2.0]}}
    with nothing_written(tmp_path, but=SETTINGS[:1]):
        assert_refused(train(config=betas), "optim_conf: Invalid beta parameter at index 1: 2.0")
        texts = own.root / "train/text"  # where lengths belong
        done = train("--train_shape_file", texts, config={"batch_type": "numel"})
        assert_refused(done, "batch_type, batch_size, batch_bins, shape files: ", "correct them")
        done = train("--chunk_length")
        assert_refused(done, "command line: argument --chunk_length: expected one", "--help_all")


def test_token_classes_of_another_llm(train: Train, own: TinyTraining, tmp_path: Path) -> None:
    classes = tmp_path / "own/classes.json"
    value = json.loads(classes.read_text())
    with nothing_written(tmp_path, but=(*SETTINGS, "/own/classes.json")):
        for change in ({"anchor_token_id": 5}, {"token_ids": [1, 100_000]}):
            classes.write_text(json.dumps({**value, **change}))
            done = train("--readout_conf", f"classes={classes}")
            assert_refused(done, classes, "made for another LLM", "stage 6")


def test_a_checkpoint_of_another_configuration(train: Train, trained: Path, tmp_path: Path) -> None:
    checkpoint = trained / "2epoch.pth"
    wider = {"projector_conf": {"stack": 2, "layers": 1, "width": 32, "heads": 4}}
    other = {"projector": "stack_mlp", "projector_conf": {"stack": 2, "width": 24}}
    with nothing_written(tmp_path, but=SETTINGS):
        for config, says in ((wider, "other shapes: projector."), (other, "unknown keys: projec")):
            done = train("--init_param", checkpoint, config=config)
            assert_refused(done, checkpoint, says, "the configuration it was trained with")


def test_damaged_checkpoints(
    train: Train, tiny_training: TinyTraining, trained: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.pth"
    content = (trained / "2epoch.pth").read_bytes()
    half.write_bytes(content[: len(content) // 2])
    with nothing_written(tmp_path, but=SETTINGS):
        assert_refused(train("--init_param", half), half, "is damaged or no checkpoint")
    shutil.copytree(trained, tmp_path / "exp", symlinks=True)
    for name in ("checkpoint.pth", "checkpoint.previous.pth"):
        (tmp_path / "exp" / name).write_bytes(content[:1000])
    with nothing_written(tmp_path, but=SETTINGS):
        done = tiny_training.train(tmp_path / "exp", "--max_epoch", "3")
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        assert_refused(outcome, tmp_path / "exp", "both checkpoints are damaged")


@pytest.mark.parametrize("workers", [0, 1])
def test_features_that_are_no_numbers(
    train: Train, own: TinyTraining, tmp_path: Path, workers: int
) -> None:
    import kaldiio

    matrices = {
        key: np.array(m) for key, m in kaldiio.load_scp(f"{own.root}/train/feats.scp").items()
    }
    matrices[FIRST][3, 2] = np.nan
    kaldiio.save_ark(f"{own.root}/train/feats.ark", matrices, scp=f"{own.root}/train/feats.scp")
    with nothing_written(tmp_path, but=SETTINGS):
        done = train("--num_workers", workers, config={"num_iters_per_epoch": 4})
        assert_refused(done, FIRST, "the features contain NaN")


def test_two_runs_in_one_directory(train: Train, tmp_path: Path) -> None:
    with lock_directory(tmp_path / "exp"), nothing_written(tmp_path, but=SETTINGS):
        assert_refused(train(), tmp_path / "exp", "another run (process ", "is writing here")


def test_an_unwritable_directory(train: Train, own: TinyTraining, tmp_path: Path) -> None:
    output = own.root / "train/text/exp"
    with nothing_written(tmp_path, but=SETTINGS[:1]):
        assert_refused(train("--output_dir", output), output, "not a directory")


def test_a_full_disk(train: Train, full_disk: FullDisk) -> None:
    output = full_disk.directory / "exp"
    done = train("--output_dir", output, max_file_bytes=full_disk.max_file_bytes)
    assert_refused(done, output, "a checkpoint could not be written", "free some space")
    # And no cut-off checkpoint.
    assert sorted(files_in(output)) == ["config.yaml", "languages.json"]


def test_a_gpu_where_there_is_none(train: Train, tmp_path: Path) -> None:
    assert_refused(train("--ngpu", 1), "--ngpu 1", "no GPU can be used here", "give --ngpu 0")
