"""Archives of recordings, unpacked safely; an interrupted unpacking goes on where it stopped."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path, PurePosixPath
from typing import IO

from espnet_otreg.data.archives import tar_members
from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, sha256_file
from espnet_otreg.progress import Progress
from espnet_otreg.shards import Shard, read_record

_RECORD = ".unpacked.{}"


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
        if target.read_bytes() == content:
            return  # by a run that was interrupted
    with atomic_write(target, "wb", flush=False) as file:
        file.write(content)


def is_unpacked(name: str, directory: str | Path) -> bool:
    """Whether an archive of that name has been unpacked there to its end."""
    return bool(read_record(Path(directory) / _RECORD.format(name)))


def unpack(archive: str | Path, directory: str | Path) -> int:
    """Unpack the regular files of a ``.tar.gz`` into a directory, once.

    An archive that holds something else than the one of its name that was unpacked is unpacked
    again; one that has been removed since is not needed any more. Links and devices are left out:
    what they point to may lie anywhere.

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
    known = read_record(record)
    if not archive.is_file():
        if known:
            return int(known["about"]["files"])
        raise UserError("the archive is missing", str(archive), "copy or download it again")
    shard = Shard(record, sha256_file(archive))
    if shard.finished():
        return int(shard.about()["files"])
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
    with shard.writing() as about:
        about["files"] = count
    print(f"{directory}: {count} files of {archive.name}", file=sys.stderr)
    return count
