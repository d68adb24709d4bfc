"""Finding the directory of a model, local or on the hub, and the digest of its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, sha256_file
from espnet_otreg.models_offline.hub import cached_revision, fetch_snapshot

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def resolve_model(model: str) -> Path:
    """A directory as it is; a hub name becomes its snapshot in the hub's cache.

    Raises:
        UserError: if there is no such directory and the hub does not give it either.
    """
    path = Path(model)
    if path.is_dir():
        return path
    if path.is_absolute() or model.startswith(".") or model.count("/") != 1:
        raise UserError(
            "no such model directory", model, "make one with tools/fetch_model.py or check the path"
        )
    return fetch_snapshot(model)


def model_directory(model: str) -> Path:
    """The local directory of a model; one named by its hub name is fetched into the hub's cache.

    Raises:
        UserError: if there is no such directory and the hub does not give it either.
    """
    path = resolve_model(model)
    if not (path / "config.json").is_file():
        raise UserError("no config.json there", model, "give the directory of a model")
    return path


def model_revision(model: str) -> str | None:
    """The hub's commit that a model comes from, where that is known; the hub is not asked.

    Args:
        model: a directory (``model.json`` of our tool knows it) or a hub name.
    """
    path = Path(model)
    if path.is_dir():
        record = path / "model.json"
        return read_json(record).get("revision") if record.is_file() else None
    return cached_revision(model) if model.count("/") == 1 and not path.is_absolute() else None


def weights_sha256(directory: str | Path) -> str:
    """Digest of the content of a model's weight files.

    Raises:
        UserError: if there are no weights.
    """
    directory = Path(directory)
    files = sorted(path for pattern in _WEIGHTS for path in directory.glob(pattern))
    if not files:
        raise UserError("no weights there", str(directory), "fetch the model again")
    if len(files) == 1:
        return sha256_file(files[0])
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()
