"""Training on recordings of other rates and channels is training on the converted ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from bad_input import Outcome, assert_refused
from odd_common import voice
from tiny_training import CONFIG, TinyTraining, checkpoint, same

from espnet_otreg.data.audio import speech_samples

KEYS = [f"it_x_{number}" for number in range(4)]
RATES = (8000, 44100, 16000, 8000)


def write_tables(directory: Path, paths: list[Path]) -> Path:
    """What ESPnet reads of a set."""
    directory.mkdir()
    for name, values in (
        ("wav.scp", paths),
        ("text", ["uno due", "tre", "uno", "due tre"]),
        ("utt2lang", ["it"] * 4),
        ("shape", [8000] * 4),
    ):
        lines = [f"{key} {value}\n" for key, value in zip(KEYS, values, strict=True)]
        (directory / name).write_text("".join(lines))
    return directory


@pytest.fixture
def odd_set(tmp_path: Path) -> Path:
    """Four recordings, none of them 16 kHz and mono but one."""
    paths = [tmp_path / f"{number}.wav" for number in range(4)]
    for number, (path, rate) in enumerate(zip(paths, RATES, strict=True)):
        soundfile.write(path, voice(0.4 + 0.05 * number, rate, 1 + number % 2), rate)
    return write_tables(tmp_path / "odd", paths)


def train(
    training: TinyTraining, whisper: Path, data: Path, output: Path, *options: str
) -> Outcome:
    """One epoch on a set, which also validates."""
    config: dict[str, Any] = {
        **CONFIG, "encoder": "hf_whisper", "encoder_conf": {"model": str(whisper)},
        "compression_conf": {"method": "none"}, "regularizers": [{"ctc": {"weight": 0.3}}],
        "freeze": ["^encoder[.]"], "batch_type": "unsorted", "batch_size": 2,
        "num_iters_per_epoch": 2, "num_workers": 1,
    }  # fmt: skip
    words = training.command(output, "--max_epoch", "1", *options, config=config)
    sets = [
        word
        for kind in ("train", "valid")
        for source in ("wav.scp,speech,sound", "text,text,text", "utt2lang,language,text")
        for word in (f"--{kind}_data_path_and_name_and_type", f"{data}/{source}")
    ]
    shapes = ["--train_shape_file", f"{data}/shape", "--valid_shape_file", f"{data}/shape"]
    first, last = words.index("--train_data_path_and_name_and_type"), words.index("--llm_conf")
    return training.server("slm_train", *words[3:first], *sets, *shapes, *words[last:])


def test_any_rate_and_channels_train_like_the_converted(
    tiny_training: TinyTraining, tiny_whisper: Path, odd_set: Path, tmp_path: Path
) -> None:
    done = train(tiny_training, tiny_whisper, odd_set, tmp_path / "exp/odd")
    assert done.status == 0, done.stderr[-2000:]
    for what in ("is resampled to 16000 Hz, for instance", "is mixed to one, for instance"):
        said = [line for line in done.stderr.splitlines() if what in line]
        assert len(said) == 1 and str(tmp_path) in said[0], done.stderr
    converted = [tmp_path / f"converted{number}.wav" for number in range(4)]
    for number, path in enumerate(converted):
        samples = speech_samples(tmp_path / f"{number}.wav")
        soundfile.write(path, samples, 16000, subtype="FLOAT")
    data = write_tables(tmp_path / "plain", converted)
    done = train(tiny_training, tiny_whisper, data, tmp_path / "exp/plain")
    assert done.status == 0 and "resampled" not in done.stderr, done.stderr[-2000:]
    assert same(checkpoint(tmp_path / "exp/odd"), checkpoint(tmp_path / "exp/plain"))


def test_what_training_refuses(
    tiny_training: TinyTraining, tiny_whisper: Path, odd_set: Path, tmp_path: Path
) -> None:
    refused = train(
        tiny_training, tiny_whisper, odd_set, tmp_path / "exp/rate",
        "--audio_conf", "resample=false",
    )  # fmt: skip
    assert_refused(refused, "utterance it_x_", f"({tmp_path}/", " Hz, not 16000")
    soundfile.write(tmp_path / "2.wav", np.tile(voice(1.0, 8000), 31), 8000)
    too_long = train(tiny_training, tiny_whisper, odd_set, tmp_path / "exp/long")
    assert_refused(too_long, "utterance it_x_2", tmp_path / "2.wav", "lasts 31.0 s, more than")
