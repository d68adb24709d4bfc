"""Recordings that cannot be used: the sentence names the utterance and its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_input import Outcome, assert_refused, command, nothing_written

from .conftest import FullDisk, noise

MakeDir = Callable[..., Path]
CONVERTED = ("/dump/wavs/*.wav", "/dump/format.json")  # what is good already is kept


def spoil(kind: str, path: Path) -> None:
    """Write a defective recording."""
    if kind == "empty":
        soundfile.write(path, np.zeros(0, np.float32), 16000)
    elif kind == "no bytes":
        path.write_bytes(b"")
    elif kind == "NaN":
        soundfile.write(path, np.append(noise(0.5), np.nan), 16000, subtype="FLOAT")
    elif kind == "infinite":
        soundfile.write(path, np.append(noise(0.5), np.inf), 16000, subtype="FLOAT")
    elif kind == "stereo":
        soundfile.write(path, np.stack([noise(0.5)] * 2, axis=1), 16000)
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:4000])
    elif kind == "only a header":
        path.write_bytes(path.read_bytes()[:20])
    elif kind == "unknown coding":
        content = bytearray(path.read_bytes())
        content[20:22] = b"\0\0"  # the format tag; 0 stands for none
        path.write_bytes(content)
    elif kind == "text":
        path.write_text("this is no audio at all\n" * 20)


def format_data(data: Path, output: Path, *options: object, **limits: int | None) -> Outcome:
    return command("format_data", "--data_dir", data, "--output_dir", output, *options, **limits)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("empty", "the audio is empty"),
        ("no bytes", "not an audio file that can be decoded"),
        ("NaN", "NaN or infinite samples"),
        ("infinite", "NaN or infinite samples"),
        ("stereo", "2 channels, not one"),
        ("truncated", "the audio file is truncated"),
        ("only a header", "truncated"),
        ("unknown coding", "not an audio file that can be decoded"),
        ("text", "not an audio file that can be decoded"),
    ],
)
def test_defective_recordings(make_data_dir: MakeDir, tmp_path: Path, kind: str, says: str) -> None:
    options = ("--mix_channels", "false") if kind == "stereo" else ()
    data = make_data_dir()
    spoil(kind, data / "b.wav")
    with nothing_written(tmp_path, but=CONVERTED):
        done = format_data(data, tmp_path / "dump", "--nj", 1, *options)
        assert_refused(done, "utterance 'b'", data / "b.wav", says)
    assert not (tmp_path / "dump/wavs/b.wav").exists()


def test_nothing_but_over_long_utterances(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    with nothing_written(tmp_path):
        done = format_data(data, tmp_path / "dump", "--max_duration", 0.3)
        assert_refused(done, data, "no utterance is left", "durations")


def test_a_full_disk(make_data_dir: MakeDir, full_disk: FullDisk) -> None:
    data, output = make_data_dir(), full_disk.directory / "dump"
    soundfile.write(data / "b.wav", noise(4.0), 16000, subtype="PCM_16")
    with nothing_written(full_disk.directory, but=CONVERTED):
        done = format_data(data, output, "--nj", 1, max_file_bytes=full_disk.max_file_bytes)
        assert_refused(done, output / "wavs/b.wav", full_disk.reason)
    assert not (output / "wavs/b.wav").exists()
