"""Tiny real fixtures in the publishers' own formats."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    """A quiet sine, float32."""
    time = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write_g722(path: Path, seconds: float) -> None:
    """Raw G.722 at 64 kbit/s, as in the asterisk packages: 8,000 bytes a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = (tone(seconds, 16000) * 32767).astype(np.int16)
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        for start in range(0, len(pcm), 320):
            frame = av.AudioFrame.from_ndarray(
                pcm[None, start : start + 320], format="s16", layout="mono"
            )
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_deb(path: Path, files: Mapping[str, bytes], compression: str = "xz") -> None:
    """A Debian package: ar of debian-binary, control.tar and data.tar."""

    def tar(content: Mapping[str, bytes], kind: str) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as archive:
            for name, data in content.items():
                member = tarfile.TarInfo(f"./{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar({"control": b"Package: tiny\n"}, "gz"),
        f"data.tar.{compression}": tar(files, compression),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"!<arch>\n")
        for name, data in members.items():
            header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
            file.write(header.encode() + data + b"\n" * (len(data) % 2))


def drascula_dat(tables: list[list[str]], languages: int = 6, offset: int = 7251) -> bytes:
    """``drascula.dat``, version 6: texts padded to four bytes, each after its own length."""

    def block(texts: list[str]) -> bytes:
        content = b"\0\0"
        for text in texts:
            raw = text.encode("cp850") + b"\0"
            padding = 4 - (len(raw) + 2) % 4
            content += struct.pack(">H", len(raw) + padding + 2) + raw + b"\0" * padding
        return struct.pack(">H", len(content)) + content

    body = struct.pack(">H", languages)
    for texts in tables + [["x"]] * (15 - len(tables)):
        body += struct.pack(">H", len(texts)) + block(texts)
        body += b"".join(block(["otra lengua"] * len(texts)) for _ in range(languages - 1))
    return b"DRASCULA\x06".ljust(offset, b"\x01") + body


@pytest.fixture
def make_data_dir(tmp_path: Path) -> Callable[..., Path]:
    """A user's own data directory with two half-second recordings; tables can be replaced."""

    def make(name: str = "own", **tables: str) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        for key in ("a", "b"):
            soundfile.write(tmp_path / f"{name}_{key}.wav", tone(0.5, 8000), 8000)
        content = {
            "wav.scp": f"a {tmp_path}/{name}_a.wav\nb {tmp_path}/{name}_b.wav\n",
            "text": "a Good morning!\nb Press 4.\n",
            "utt2lang": "a en\nb en\n",
        }
        content.update({key.replace("wav_scp", "wav.scp"): value for key, value in tables.items()})
        for key, value in content.items():
            (directory / key).write_text(value, encoding="utf-8")
        return directory

    return make
