"""A good data directory to spoil, and a disk that is full."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_input import ForkServer
from tiny_training import TinyTraining

MakeDir = Callable[..., Path]


def noise(seconds: float, rate: int = 16000) -> np.ndarray:
    """A quiet hiss, float32."""
    generator = np.random.default_rng(0)
    return 0.1 * generator.standard_normal(round(seconds * rate)).astype(np.float32)


@pytest.fixture
def make_data_dir(tmp_path: Path) -> MakeDir:
    """make_data_dir(text=...): two recordings a and b of half a second; tables can be replaced."""

    def make(**tables: str) -> Path:
        directory = tmp_path / "own"
        directory.mkdir()
        for key in ("a", "b"):
            soundfile.write(directory / f"{key}.wav", noise(0.5), 16000, subtype="PCM_16")
        content = {
            "wav.scp": f"a {directory}/a.wav\nb {directory}/b.wav\n",
            "text": "a good morning\nb press four\n",
            "utt2lang": "a en\nb en\n",
        }
        content.update({name.replace("wav_scp", "wav.scp"): t for name, t in tables.items()})
        for name, table in content.items():
            (directory / name).write_text(table, encoding="utf-8")
        return directory

    return make


@dataclass(frozen=True)
class FullDisk:
    """A directory with room for 64 KiB."""

    directory: Path
    max_file_bytes: int | None

    @property
    def reason(self) -> str:
        """What the operating system says when there is no room."""
        return "no space left on device" if self.max_file_bytes is None else "file too large"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[FullDisk]:
    """A file system of 64 KiB; where mounting is forbidden, files are limited to that size."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    yield FullDisk(directory, None if mounted else 65536)
    if mounted:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.fixture(scope="session")
def trained(
    tiny_training: TinyTraining,
    fork_server: ForkServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A model trained for two epochs."""
    directory = tmp_path_factory.mktemp("trained") / "exp"
    words = tiny_training.command(directory, "--max_epoch", "2")[3:]
    done = fork_server("slm_train", *words)
    assert done.status == 0, done.stderr
    return directory
