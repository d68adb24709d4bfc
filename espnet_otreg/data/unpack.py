"""Archives of recordings, unpacked safely; an interrupted unpacking goes on where it stopped."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
from pathlib import Path, PurePosixPath
from typing import IO

from espnet_otreg.data.archives import tar_members
from espnet_otreg.errors import UserError
from espnet_otreg.files import naming_file, read_json, write_json
from espnet_otreg.progress import Progress

_RECORD = ".unpacked.{}.json"


class _Watched(io.RawIOBase):
    """A file that tells a progress how far it has been read."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._progress.advance(len(content))
        return content


def member_path(name: str) -> PurePosixPath:
    """The relative path of a member of an archive, which stays inside its directory.

    Raises:
        ValueError: if it would leave it.

    >>> str(member_path("./test/1.wav"))
    'test/1.wav'
    >>> member_path("test/../../.bashrc")
    Traceback (most recent call last):
    ...
    ValueError: test/../../.bashrc
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(name)
    return path


def _write(target: Path, content: bytes) -> None:
    if target.is_file() and target.stat().st_size == len(content):
        return  # by a run that was interrupted: it renamed only whole files
    target.parent.mkdir(parents=True, exist_ok=True)
    # Process and thread: archives that are unpacked at the same time may share a file.
    writer = f"{os.getpid()}.{threading.get_ident()}"
    temporary = target.with_name(f".{target.name}.{writer}.tmp")
    try:
        with naming_file(target):
            temporary.write_bytes(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def is_unpacked(name: str, directory: str | Path) -> bool:
    """Whether the archive of that name has been unpacked there to its end."""
    return (Path(directory) / _RECORD.format(name)).exists()


def unpack(archive: str | Path, directory: str | Path) -> int:
    """Unpack the regular files of a ``.tar.gz`` into a directory, once.

    Links and devices are left out: what they point to may lie anywhere.

    Args:
        archive: is read as a stream, so that any size will do.
        directory: gets the files and, at the very end, a record that all are there.

    Returns:
        Number of files.

    Raises:
        UserError: if the archive is missing or damaged, or a member would be written elsewhere.
    """
    archive, directory = Path(archive), Path(directory)
    record = directory / _RECORD.format(archive.name)
    if record.exists():
        return int(read_json(record)["files"])
    if not archive.is_file():
        raise UserError("the archive is missing", str(archive), "copy or download it again")
    count, size = 0, archive.stat().st_size
    progress = Progress(f"unpacking {archive.name}", size, "bytes")
    with open(archive, "rb") as file:
        # Not by tarfile, which takes an archive that is cut between two members for a whole one.
        stream = gzip.GzipFile(fileobj=_Watched(file, progress), mode="rb")
        for name, content in tar_members(stream, archive):
            try:
                path = member_path(name)
            except ValueError:
                raise UserError(
                    f"its member '{name}' would be written outside of the directory",
                    str(archive),
                    "remove it and get it from the publisher",
                ) from None
            _write(directory / path, content)
            count += 1
    progress.close()
    if not count:
        raise UserError("the archive is empty", str(archive), "copy or download it again")
    write_json(record, {"archive": archive.name, "bytes": size, "files": count})
    print(f"{directory}: {count} files of {archive.name}", file=sys.stderr)
    return count
