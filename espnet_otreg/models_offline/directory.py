"""Finding the directory of a model, local or on the hub, and the digest of its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, sha256_file

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def model_directory(model: str) -> Path:
    """The local directory of a model; one named by its hub name is fetched into the hub's cache.

    Raises:
        UserError: if there is no such directory and the hub does not give it either.
    """
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError("no config.json there", model, "give the directory of a model")
        return path
    if path.is_absolute() or model.startswith(".") or model.count("/") != 1:
        raise UserError(
            "no such model directory", model, "make one with tools/fetch_model.py or check the path"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except Exception as error:  # the hub's client raises many kinds, none a defect of ours
        raise UserError(
            "neither a directory nor to be had from the hub", model, "check name and network"
        ) from error


def weights_sha256(directory: str | Path) -> str:
    """Digest of a model's weight files; taken from ``model.json`` where our tool has made them.

    Raises:
        UserError: if there are no weights.
    """
    directory = Path(directory)
    record = directory / "model.json"
    if record.is_file():
        return str(read_json(record)["weights_sha256"])
    files = sorted(path for pattern in _WEIGHTS for path in directory.glob(pattern))
    if not files:
        raise UserError("no weights there", str(directory), "fetch the model again")
    if len(files) == 1:
        return sha256_file(files[0])
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()
