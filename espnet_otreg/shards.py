"""Work that is done in shards: an interrupted run redoes only those that were not finished.

A shard is a directory. Its record, :data:`RECORD`, is written last: it holds a fingerprint of
everything that decides what is in the shard, and size and sha256 of each of its files. So a shard
is either whole, or made again; one that was made from something else is made again, too.
Features, hypotheses, the zero-shot baseline and unpacked archives are kept this way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, sha256_file, write_json

RECORD = "part.json"


def fingerprint_of(*facts: Any) -> str:
    """sha256 over facts that can be written as JSON, whatever the order of the keys in them.

    >>> fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    True
    >>> fingerprint_of("a", "b") == fingerprint_of("ab")
    False
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Shard:
    """One shard of the work.

    Args:
        directory: where its files are. Hidden files in it, such as a lock, are not part of it.
        fingerprint: see :func:`fingerprint_of`.

    >>> import tempfile
    >>> shard = Shard(Path(tempfile.mkdtemp()) / "1", fingerprint_of("whisper", ["a", "b"]))
    >>> shard.finished()
    False
    >>> with shard.writing() as about:
    ...     about["utterances"] = 2
    ...     _ = (shard.directory / "text").write_text("a yes")
    >>> shard.finished(), shard.about()
    (True, {'utterances': 2})
    >>> Shard(shard.directory, fingerprint_of("whisper", ["a", "c"])).finished()
    False
    >>> _ = (shard.directory / "text").write_text("a yea")
    >>> shard.finished(), shard.damaged()
    (True, ['text'])
    """

    directory: Path
    fingerprint: str

    def finished(self) -> bool:
        """Whether it is whole and was made from the same: a look at the sizes of its files."""
        record = read_record(self.directory)
        return record.get("fingerprint") == self.fingerprint and all(
            path.is_file() and path.stat().st_size == fact["size"]
            for path, fact in _files(self.directory, record)
        )

    def damaged(self) -> list[str]:
        """Names of the files that do not hold what was written; reads all of them."""
        record = read_record(self.directory)
        return [
            str(path.relative_to(self.directory))
            for path, fact in _files(self.directory, record)
            if not path.is_file() or sha256_file(path) != fact["sha256"]
        ]

    def about(self) -> dict[str, Any]:
        """What was said of the finished shard when it was written."""
        return read_record(self.directory)["about"]

    @contextlib.contextmanager
    def writing(self) -> Iterator[dict[str, Any]]:
        """Empty the directory, let it be filled, then write the record.

        Yields:
            a dictionary for what :meth:`about` shall give.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        # The record first: files of two makers never stand beside a record of either.
        (self.directory / RECORD).unlink(missing_ok=True)
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()
        about: dict[str, Any] = {}
        yield about
        files = {
            str(path.relative_to(self.directory)): {
                "size": path.stat().st_size,
                "sha256": sha256_file(path),
            }
            for path in sorted(self.directory.rglob("[!.]*"))
            if path.is_file()
        }
        record = {"fingerprint": self.fingerprint, "files": files, "about": about}
        write_json(self.directory / RECORD, record)


def read_record(directory: Path) -> dict[str, Any]:
    """The record of a shard; empty if there is none, or none that can be read.

    >>> read_record(Path("no/such/shard"))
    {}
    """
    try:
        record = read_json(directory / RECORD)
    except (OSError, UserError):
        return {}
    whole = isinstance(record, dict) and record.keys() >= {"fingerprint", "files", "about"}
    return record if whole else {}


def _files(directory: Path, record: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for name, fact in record.get("files", {}).items():
        yield directory / name, fact


def remove_others(directory: Path, shards: Collection[Shard]) -> None:
    """Remove the shards in ``directory`` that are none of ``shards``, of work cut otherwise.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "7").mkdir()
    >>> remove_others(root, [])
    >>> list(root.iterdir())
    []
    """
    kept = {shard.directory.name for shard in shards}
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
