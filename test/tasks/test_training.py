"""Real trainings of a tiny model through the command line."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import TinyTraining, checkpoint

from espnet_otreg.slm.build import load_model


@pytest.fixture(scope="session")
def four_epochs(tiny_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of four epochs in one go."""
    directory = tmp_path_factory.mktemp("exp") / "whole"
    run = tiny_training.train(directory, "--max_epoch", "4")
    assert run.returncode == 0, run.stderr[-2000:]
    return directory


def test_the_log_says_what_is_trained_and_how_it_goes(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    run = tiny_training.train(tmp_path / "exp", "--max_epoch", "1", "--log_interval", "1")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "trainable parameters by module" in run.stdout and "memory" in run.stdout
    for statistic in ("otreg_cost", "otreg_plan_entropy", "otreg_marginal_error", "ctc=",
                      "otreg_iterations", "otreg_best_cosine", "otreg_anchor_mass",
                      "ce_shuffled_speech"):  # fmt: skip
        assert statistic in run.stderr, statistic


def test_the_trained_model_loads_without_its_training_data(four_epochs: Path) -> None:
    model = load_model(four_epochs)
    speech = torch.randn(1, 12, 16)
    with torch.inference_mode():
        embeddings = model.encode(speech, torch.tensor([12]))
    assert embeddings.values.shape == (1, 6, 32)
    keys = torch.load(four_epochs / "4epoch.pth").keys()
    assert all(key.startswith(("projector.", "readout.")) or "lora_" in key for key in keys)


def test_two_processes_train_like_one(
    tiny_training: TinyTraining, four_epochs: Path, tmp_path: Path
) -> None:
    # The same eight utterances a step, four in each process.
    deterministic = {
        # The read-out has no gradient in the first step.
        "regularizers": [{"otreg": {"weight": 0.3}}, {"ctc": {"weight": 0.3, "start_step": 1}}],
        "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4, "dropout": 0.0},
        "llm_conf": {"adapter": "lora", "lora_rank": 2, "lora_dropout": 0.0},
        "optim": "sgd",
        "optim_conf": {"lr": 0.1},
    }
    alone = tiny_training.train(tmp_path / "one", "--max_epoch", "1", config=deterministic)
    assert alone.returncode == 0, alone.stderr[-2000:]
    # Activation checkpointing saves memory and changes nothing.
    together = {**deterministic, "llm_conf": {**deterministic["llm_conf"],
                                              "activation_checkpointing": True}}  # fmt: skip
    for done in tiny_training.train_two(tmp_path / "two", "--max_epoch", "1", config=together):
        assert done.status == 0, done.stderr[-2000:]
    one, two = (checkpoint(tmp_path / name)["model"] for name in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "error: --use_deepspeed true: DeepSpeed is not installed; pip install deepspeed"),
        (
            {"regularizers": [{"otreg": {"start_step": 9}}]},
            "error: --use_deepspeed true: 1 configuration error: (1) regularizers.otreg: with "
            "DeepSpeed no step is counted; remove start_step and warmup_steps",
        ),
    ],
)
def test_what_deepspeed_cannot_do_is_said(
    tiny_training: TinyTraining, tmp_path: Path, config: dict[str, Any], sentence: str
) -> None:
    several = ("--ngpu", "0", "--multiprocessing_distributed", "false", "--dist_world_size", "2",
               "--dist_rank", "0", "--dist_init_method", f"file://{tmp_path}/meeting")  # fmt: skip
    run = tiny_training.train(tmp_path / "exp", "--use_deepspeed", "true", *several, config=config)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == sentence


def test_a_set_is_read_in_parts_and_batches_are_bounded_by_frames_and_tokens(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    sizes: dict[str, list[int]] = {}  # frames + tokens of the training utterances, part by part
    for kind in ("train", "valid"):
        rows = (tiny_training.root / kind / "text").read_text().splitlines()
        lengths = {key: len(text) for key, text in (row.split(maxsplit=1) for row in rows)}
        shapes = "".join(f"{key} {length}\n" for key, length in lengths.items())
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "text_shape").write_text(shapes)
        if kind == "train":  # tiny_corpus makes four frames of a letter
            sizes = {str(n): [5 * length for length in list(lengths.values())[n::2]]
                     for n in range(2)}  # fmt: skip
    whole, parts = tiny_training.root / "train", tmp_path / "parts"
    tables = [whole / name for name in ("feats.scp", "text", "utt2lang", "speech_shape")]
    split = [sys.executable, "-m", "espnet2.bin.split_scps", "--num_splits", "2"]
    tables.append(tmp_path / "train/text_shape")
    subprocess.run([*split, "--output_dir", parts, "--scps", *tables], check=True)
    shutil.copy(whole / "feats.json", parts)

    bins = 300
    config = {"batch_type": "length", "batch_bins": bins, "num_iters_per_epoch": None}
    command = tiny_training.command(tmp_path / "exp", config=config)
    words = [word.replace(f"{whole}/", f"{parts}/") for word in command[3:]]
    done = tiny_training.server(
        "slm_train", *words, "--multiple_iterator", "true", "--max_epoch", "1",
        "--train_shape_file", str(parts / "text_shape"),
        "--valid_shape_file", str(tmp_path / "valid/text_shape"),
    )  # fmt: skip
    assert done.status == 0, done.stderr[-2000:]
    expected = 0
    for part in sizes.values():
        batch = 0
        for size in sorted(part):
            batch += 1
            if batch * size > bins:  # the longest utterance decides, because of padding
                expected, batch = expected + 1, 0
        expected += batch > 0
    log = done.stderr.replace("\n", " ")
    (steps,) = set(re.findall(r"\[train\].*?total_count=(\d+)", log))
    assert int(steps) == expected > 4
    assert re.search(r"epoch 1: \d+\.\d % of the time was waiting for data", log)


def test_a_second_run_in_the_same_directory_is_refused(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    from espnet_otreg.files import lock_directory

    with lock_directory(tmp_path / "exp"):
        run = tiny_training.train(tmp_path / "exp", "--max_epoch", "1")
    assert run.returncode == 1
    assert "another run" in run.stderr.splitlines()[-1]


def test_all_mistakes_of_a_configuration_in_two_seconds(
    tiny_training: TinyTraining, tmp_path: Path
) -> None:
    config = {
        "projektor": "stack_mlp",
        "regularizers": [{"otrge": {}}, {"ctc": {"weigth": 1}}],
        "llm_conf": {"adapter": "lora", "lora_rank": 0},
        "max_epochs": 3,
        "train": ["("],
    }
    command = tiny_training.command(tmp_path / "exp", "--check", config=config)
    started = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1
    for part in ("6 configuration errors", "did you mean 'projector'", "did you mean 'otreg'",
                 "did you mean 'weight'", "lora_rank: must be positive",
                 "did you mean 'max_epoch'", "not a regular expression"):  # fmt: skip
        assert part in run.stderr, (part, run.stderr)
    # No import of torch or ESPnet, each of which alone takes longer than this on a slow machine.
    assert "torch" not in run.stderr and seconds < 60
