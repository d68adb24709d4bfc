"""The one writer of files: whole or absent, whoever else writes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from espnet_otreg.data.audio.write import write_wav
from espnet_otreg.data.unpack import _write
from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, copy_file, replace_directory, temporary_name
from espnet_otreg.slm.checkpoint import load_checkpoint, save_checkpoint

PACKAGE = Path(__file__).resolve().parent.parent / "espnet_otreg"


def test_two_threads_write_one_path(tmp_path: Path) -> None:
    """Both are in the middle of writing at the same time; the file is one of the two, whole."""
    path, both = tmp_path / "out/table", threading.Barrier(2, timeout=60)
    failed: list[BaseException] = []

    def write(letter: str) -> None:
        try:
            with atomic_write(path) as file:
                file.write(letter * 50_000)
                file.flush()
                both.wait()
                file.write(letter * 50_000)
                both.wait()
        except BaseException as error:  # it would be lost with its thread
            failed.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert path.read_text() in ("a" * 100_000, "b" * 100_000)
    assert list(path.parent.iterdir()) == [path]


def test_names_differ_by_process_and_thread(tmp_path: Path) -> None:
    names = [temporary_name(tmp_path / "a.json")]
    thread = threading.Thread(target=lambda: names.append(temporary_name(tmp_path / "a.json")))
    thread.start()
    thread.join()
    assert names[0] != names[1] and all(f".{os.getpid()}." in name.name for name in names)
    assert temporary_name(tmp_path / "a.json") == names[0]


@pytest.mark.parametrize("writer", ["checkpoint", "wav", "unpack", "copy"])
def test_every_writer_leaves_what_was_there_if_it_fails(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = tmp_path / "out/file", tmp_path / "source"
    path.parent.mkdir()
    path.write_bytes(b"old")
    source.write_bytes(b"new content")
    seen: list[Path] = []

    def full(number_or_name: Any, *_: Any) -> None:
        seen.extend(path.parent.iterdir())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        if writer == "checkpoint":
            save_checkpoint(path, {"step": 3, "weight": torch.ones(2)})
        elif writer == "wav":
            import numpy as np

            write_wav(path, np.zeros(16, dtype=np.float32), 16000)
        elif writer == "unpack":
            _write(path, b"new content")
        else:
            copy_file(source, path)
    assert path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]
    (temporary,) = {*seen} - {path}
    assert temporary == temporary_name(path)


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (told.append("flush"), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda a, b: (told.append("rename"), replace(a, b)))
    save_checkpoint(tmp_path / "a.pth", {"weight": torch.ones(2)})
    assert told == ["flush", "rename", "flush"]
    assert torch.equal(load_checkpoint(tmp_path / "a.pth")["weight"], torch.ones(2))


def test_no_module_writes_files_its_own_way() -> None:
    """``torch.save`` and ``os.replace`` stand where files are made whole, and nowhere else."""
    own = {
        "torch.save": {"slm/checkpoint.py"},
        # The rest of a download is kept on purpose; links to checkpoints have no content.
        "os.replace": {"files.py", "data/download.py", "tasks/recovery.py"},
    }
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    for call, places in own.items():
        callers = {path for path, text in texts.items() if f"{call}(" in text}
        assert {path.relative_to(PACKAGE).as_posix() for path in callers} <= places, call


def test_a_directory_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/old").touch()
    with replace_directory(tmp_path / "model") as fresh:
        (fresh / "new").touch()
        assert (tmp_path / "model/old").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]
    with pytest.raises(UserError, match="no name of what could be made"), atomic_write("/"):
        pass
