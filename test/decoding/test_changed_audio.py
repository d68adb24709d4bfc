"""A recording that is replaced in place: all that depends on it is made again, nothing else."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from data_dir import write_data_dir
from safetensors.torch import load_file, save_file
from tiny_llm import build_tiny_llm
from tiny_slm import tiny_config, write_classes

from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.run import decode_sets
from espnet_otreg.decoding.whisper_baseline import decode_baseline
from espnet_otreg.features.extraction import extract_features
from espnet_otreg.files import write_json
from espnet_otreg.models_offline.directory import weights_sha256
from espnet_otreg.models_offline.whisper_files import save_whisper
from espnet_otreg.slm.build import build_model
from espnet_otreg.slm.config import parse_slm_config

CHANGED = "it_core_a_002"


def replace_in_place(path: Path) -> None:
    """Other samples, as many bytes, and the time of the file before."""
    status = path.stat()
    count = soundfile.info(path).frames
    noise = 0.1 * np.random.default_rng(7).standard_normal(count)
    soundfile.write(path, noise, 16000, subtype="PCM_16")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def made(root: Path, pattern: str) -> dict[str, int]:
    """When each file of that name was written."""
    found = sorted(root.glob(pattern))
    assert found
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in found}


def untrained(directory: Path, features: Path) -> Path:
    """A training directory of random weights for features of that directory."""
    llm = build_tiny_llm(directory.with_name("llm"))
    classes = write_classes(llm, features, directory.with_name("classes.json"))
    config = tiny_config(llm, classes, features)
    config["encoder_conf"] = {"input_size": 32, "frame_seconds": 0.02}
    torch.manual_seed(0)
    model = build_model(parse_slm_config(config))
    directory.mkdir()
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(model.state_dict(), directory / "model.pth")
    return directory


@pytest.fixture
def whisper(tiny_whisper_model: Any, whisper_tokenizer_json: Path, tmp_path: Path) -> Path:
    settings = {"alignment_heads": [[0, 0]], "suppress_ids": [], "suppress_ids_begin": []}
    target = tmp_path / "whisper"
    save_whisper(copy.deepcopy(tiny_whisper_model), whisper_tokenizer_json, settings, target)
    return target


def test_stages_two_three_and_ten_and_the_baseline(whisper: Path, tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    raw, features, output = tmp_path / "raw", tmp_path / "features", tmp_path / "decoded"
    zero_shot = tmp_path / "zero_shot"
    model = None

    def run() -> None:
        nonlocal model
        format_data(data, raw)
        extract_features(str(raw), str(features), str(whisper), num_jobs=3)
        model = model or untrained(tmp_path / "exp", features)
        decode_sets(
            str(model), [str(features)], configure_modes(["ctc"]), str(output), batch_size=1
        )
        decode_baseline(str(raw), str(zero_shot), str(whisper), batch_size=2)

    patterns = {
        "raw/wavs/*.wav": [f"raw/wavs/{CHANGED}.wav"],
        # Six utterances are dealt out to three jobs.
        "features/jobs/*/feats.ark": ["features/jobs/3/feats.ark"],
        # The longest utterances are decoded first, one a batch, dealt out to two parts.
        "decoded/ctc/features/logdir/*/part.json": [
            "decoded/ctc/features/logdir/output.2/part.json"
        ],
        "zero_shot/parts/*/text": ["zero_shot/parts/2/text"],
    }
    run()
    before = {pattern: made(tmp_path, pattern) for pattern in patterns}
    replace_in_place(Path(read_table(data / "wav.scp")[CHANGED]))
    run()
    for pattern, expected in patterns.items():
        after = made(tmp_path, pattern)
        assert after.keys() == before[pattern].keys()
        assert [name for name in after if after[name] != before[pattern][name]] == expected


def change_weights(directory: Path) -> None:
    """Other weights of the same size, and beside them the record of what they were."""
    path = directory / "model.safetensors"
    weights = load_file(path)
    name = max(weights, key=lambda name: weights[name].numel())
    write_json(directory / "model.json", {"weights_sha256": weights_sha256(directory)})
    save_file({**weights, name: weights[name] + 0.5}, path, {"format": "pt"})


def test_a_model_that_is_replaced_in_place_is_another_one(whisper: Path, tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", [0.3, 0.4])
    features, output = tmp_path / "features", tmp_path / "decoded"
    extract_features(str(data), str(features), str(whisper))
    model = untrained(tmp_path / "exp", features)

    def decode() -> dict[str, int]:
        modes = configure_modes(["ctc"])
        decode_sets(str(model), [str(features)], modes, str(output), batch_size=2)
        return made(output, "ctc/features/logdir/*/part.json")

    before = decode()
    assert decode() == before
    change_weights(tmp_path / "llm")
    assert decode() != before
    archives = made(features, "jobs/*/feats.ark")
    change_weights(whisper)
    extract_features(str(data), str(features), str(whisper))
    assert made(features, "jobs/*/feats.ark") != archives
