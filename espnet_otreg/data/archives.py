"""Fetch archives, take the needed files out, and check that they are the pinned ones."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from espnet_otreg.data.sources import Package, Source
from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, read_json, replace_directory, write_json
from espnet_otreg.log_times import fetched

_CONTENT = ".content.json"
_EARLIER = "archives fetched earlier"
_AR_MAGIC = b"!<arch>\n"
_CHUNK = 1 << 20


def content_digest(hashes: dict[str, str]) -> str:
    """sha256 over the sorted ``sha256  name`` lines of a set of files.

    >>> content_digest({"a": "00", "b": "11"})[:12]
    '0c7e019cac56'
    """
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _broken_deb(path: Path) -> UserError:
    return UserError("not a whole Debian package", str(path), "remove it and fetch it again")


def read_ar(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """The members of an ``ar`` archive (what a .deb is), in order.

    Raises:
        UserError: if it is no such archive, or ends too early.
    """
    path = Path(path)
    with open(path, "rb") as file:
        if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
            raise _broken_deb(path)
        while header := file.read(60):
            if len(header) < 60 or header[58:] != b"`\n":
                raise _broken_deb(path)
            name, digits = header[:16].decode("latin-1"), header[48:58].strip()
            if not digits.isdigit():
                raise _broken_deb(path)
            size = int(digits)
            content = file.read(size + size % 2)[:size]
            if len(content) < size:
                raise _broken_deb(path)
            yield name.strip().rstrip("/"), content


def _deb_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files of a .deb, without dpkg: Python reads ar, tar, gz and xz by itself."""
    for name, content in read_ar(path):
        if not name.startswith("data.tar"):
            continue
        if name.endswith(".zst"):
            yield from _deb_members_by_dpkg(path)
        else:
            yield from tar_members(io.BytesIO(content), path)
        return
    raise UserError("the Debian package has no data", str(path), "remove it and fetch it again")


def _deb_members_by_dpkg(path: Path) -> Iterator[tuple[str, bytes]]:
    if not shutil.which("dpkg-deb"):
        raise UserError(
            "the package is packed with zstd, which needs dpkg-deb",
            str(path),
            "install dpkg or put Debian's own package into --data_root",
        )
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield from tar_members(process.stdout, path)
    if process.returncode != 0:
        raise _broken_deb(path)


def tar_members(stream: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the regular files of a tar archive, packed in any way.

    Args:
        stream: is read once, from its beginning.
        path: what errors call it.

    Raises:
        UserError: if the archive is damaged.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                if member.isfile():
                    content = archive.extractfile(member)
                    assert content is not None
                    yield member.name, content.read()
        while stream.read(_CHUNK):
            pass  # what is behind the last member: padding, and the sum by which gzip tells damage
    except Exception as error:  # a damaged stream raises those of tarfile, gzip, lzma and zlib
        raise UserError(
            f"the archive cannot be read ({error})", str(path), "remove it and fetch it again"
        ) from error


def archive_members(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the regular files of a ``.deb`` or ``.tar.*``.

    Raises:
        UserError: if the archive is damaged.
    """
    path = Path(path)
    if path.suffix != ".deb":
        with open(path, "rb") as stream:
            yield from tar_members(stream, path)
    else:
        # dpkg-deb decompresses in a process of its own, which halves the time on two cores.
        yield from _deb_members_by_dpkg(path) if shutil.which("dpkg-deb") else _deb_members(path)


def extract(archives: list[Path], source: Source, directory: Path) -> dict[str, str]:
    """Take the needed files of ``source`` out of its archives.

    Returns:
        Name on disk -> sha256.

    Raises:
        UserError: if an archive is damaged.
    """
    hashes: dict[str, str] = {}
    for archive in archives:
        for member, content in archive_members(archive):
            name = source.name_on_disk(member)
            if name is None:
                continue
            if member.endswith(".gz"):
                content = _unzipped(content, archive)
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            hashes[name] = hashlib.sha256(content).hexdigest()
    return hashes


def _unzipped(content: bytes, archive: Path) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"a file in it cannot be read ({error})", str(archive), "fetch the archive again"
        ) from error


def _download(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, atomic_write(target, "wb") as file:
            shutil.copyfileobj(answer, file, _CHUNK)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ConnectionError,
        TimeoutError,
    ) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"cannot be fetched ({reason})", url) from error


def _matching(directory: Path, package: Package) -> Path | None:
    return max(directory.glob(f"{package.name}_*.deb"), default=None)


def _from_data_root(source: Source, data_root: Path) -> list[Path]:
    debs = [_matching(data_root, package) for package in source.packages]
    found = [deb for deb in debs if deb is not None]
    if len(found) == len(source.packages):
        return found
    tarballs = [data_root / Path(url).name for url in source.tarballs]
    if tarballs and all(tarball.exists() for tarball in tarballs):
        return tarballs
    wanted = ", ".join(f"{package.name}_*.deb" for package in source.packages)
    raise UserError(f"no {wanted}", str(data_root), "put the packages there or give no --data_root")


def _from_apt(source: Source, store: Path) -> list[Path]:
    if not shutil.which("apt-get"):
        raise UserError("there is no apt-get")
    with tempfile.TemporaryDirectory(dir=store, prefix=".apt.") as scratch:
        names = [package.name for package in source.packages]
        run = subprocess.run(
            ["apt-get", "download", *names], cwd=scratch, capture_output=True, text=True
        )
        if run.returncode != 0:
            complaint = next((x for x in run.stderr.splitlines() if x.startswith("E:")), "")
            raise UserError(
                f"apt-get download failed ({complaint or run.returncode})",
                mend="refresh the package lists: apt-get update, as root",
            )
        for deb in Path(scratch).glob("*.deb"):
            deb.replace(store / deb.name)
    return _from_data_root(source, store)


def _from_publisher(source: Source, store: Path) -> list[Path]:
    if not source.tarballs:
        raise UserError("the publisher has no archive of its own")
    targets = [store / Path(url).name for url in source.tarballs]
    for url, target in zip(source.tarballs, targets, strict=True):
        _download(url, target)
    return targets


def _from_mirrors(source: Source, store: Path) -> list[Path]:
    targets = []
    for package in source.packages:
        target = store / f"{package.name}_{package.version}_all.deb"
        reasons = []
        for url in package.urls:
            try:
                _download(url, target)
                break
            except UserError as error:
                reasons.append(str(error))
        else:
            raise UserError(" and ".join(reasons))
        targets.append(target)
    return targets


def is_complete(source: Source, download_dir: str | Path) -> bool:
    """Whether the pinned files of ``source`` are in place already."""
    record = Path(download_dir) / source.name / _CONTENT
    return record.exists() and read_json(record)["sha256"] == source.sha256


def obtain(source: Source, download_dir: str | Path, data_root: str | Path | None = None) -> str:
    """Put the files of ``source`` into ``<download_dir>/<source.name>``, whole or not at all.

    With ``data_root`` only the archives there are taken. Otherwise, in this order: an archive
    fetched earlier, ``apt-get download`` (no root needed), the publisher, a Debian mirror.

    Returns:
        The way the files came.

    Raises:
        UserError: if no way leads to the pinned content; every way and its failure is named.
    """
    download_dir = Path(download_dir)
    if is_complete(source, download_dir):
        return "already there"
    store = download_dir / "archives"
    ways: dict[str, Callable[[], list[Path]]]
    if data_root:
        ways = {f"copies in {data_root}": lambda: _from_data_root(source, Path(data_root))}
    else:
        store.mkdir(parents=True, exist_ok=True)
        ways = {
            _EARLIER: lambda: _from_data_root(source, store),
            "apt-get download": lambda: _from_apt(source, store),
            "the publisher": lambda: _from_publisher(source, store),
            "a Debian mirror": lambda: _from_mirrors(source, store),
        }
    failures = []
    for way, fetch in ways.items():
        started = time.monotonic()
        try:
            archives = fetch()
            if not data_root and way != _EARLIER:
                print(fetched(source.name, archives, time.monotonic() - started), flush=True)
            _install(archives, source, download_dir / source.name)
            return way
        except UserError as error:
            failures.append(f"{way}: {error}")
    # That nothing had been fetched before is no failure worth a user's time.
    told = [failure for failure in failures if not failure.startswith(_EARLIER)]
    raise UserError(
        f"the corpus {source.name} cannot be had: {' | '.join(told or failures)}",
        mend=f"give existing copies with --data_root ({' '.join(p.name for p in source.packages)})",
    )


def _install(archives: list[Path], source: Source, directory: Path) -> None:
    with replace_directory(directory) as fresh:
        hashes = extract(archives, source, fresh)
        digest = content_digest(hashes)
        if digest != source.sha256:
            raise UserError(
                f"the {len(hashes)} files have sha256 {digest}, not the pinned {source.sha256}",
                " ".join(archive.name for archive in archives),
                f"use version {source.packages[0].version}",
            )
        write_json(fresh / _CONTENT, {"sha256": digest, "files": len(hashes)})
