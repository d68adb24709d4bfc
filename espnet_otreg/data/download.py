"""Resumable downloads over HTTP, with checksums."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import naming_file, read_json, sha256_file, write_json
from espnet_otreg.progress import Progress

_CHUNK = 1 << 20
_TIMEOUT = 60.0
SUMS = "sha256.json"
_AGAIN = "run the same command again to go on, or give a copy with --data_root"
_INTERRUPTED = (http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError)


def _rest(url: str, part: Path) -> None:
    """Append to ``part`` what it lacks."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # this server cannot begin in the middle
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        progress = Progress(Path(url).name, total, "bytes")
        progress.advance(have)
        with naming_file(part), open(part, "ab" if have else "wb") as file:
            while content := answer.read(_CHUNK):
                file.write(content)
                progress.advance(len(content))
        progress.close()
    if total and part.stat().st_size < total:
        raise ConnectionError(f"{part.stat().st_size} of {total} bytes came")


def download(url: str, target: str | Path) -> None:
    """Fetch a file; what came before an interruption is kept in ``<target>.part`` and used.

    A connection that breaks is made again as long as each brings at least one byte more.

    Raises:
        UserError: if the file cannot be fetched; the same command goes on where it stopped.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _rest(url, part)
            break
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                part.unlink()  # it has grown beyond the file that is there now
                continue
            raise UserError(f"cannot be fetched ({error})", url) from error
        except urllib.error.URLError as error:
            raise UserError(f"cannot be fetched ({error.reason})", url, _AGAIN) from error
        except _INTERRUPTED as error:
            if not part.exists() or part.stat().st_size <= before:
                raise UserError(f"cannot be fetched ({error})", url, _AGAIN) from error
    os.replace(part, target)


def check_md5(path: str | Path, expected: str) -> None:
    """Raise unless a file has the MD5 sum that its publisher gives; remove it then.

    Raises:
        UserError: if it has another one.
    """
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != expected:
        Path(path).unlink()
        raise UserError(
            f"has md5 {found}, not the publisher's {expected}, and was removed",
            str(path),
            "fetch it again",
        )


def check_or_record(path: str | Path, root: str | Path) -> None:
    """Compare a file's sha256 with the one recorded when it first came, or record it now.

    The records are in ``<root>/sha256.json``, by the path below ``root``.

    Raises:
        UserError: if the file has changed.
    """
    path, root = Path(path), Path(root)
    found, name = sha256_file(path), path.relative_to(root).as_posix()
    sums = root / SUMS
    recorded = read_json(sums) if sums.exists() else {}
    if recorded.setdefault(name, found) != found:
        raise UserError(
            f"has sha256 {found[:12]}, not {recorded[name][:12]} as when it first came",
            str(path),
            f"remove it to fetch it again, or its line in {sums} if the change is wanted",
        )
    write_json(sums, recorded)
