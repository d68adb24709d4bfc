"""Reading the configuration of a trained model: from its training directory or a packed one.

A packed directory can be moved: its configuration says ``{here}`` for itself. Models that were
not copied into it are looked for in ``{here}/models`` first, then where they were at packing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, read_yaml
from espnet_otreg.models_offline.directory import weights_sha256
from espnet_otreg.slm.config import SLMConfig, parse_slm_config

HERE = "{here}"
CONFIG, MODELS, PROMPT = "config.yaml", "models.json", "prompt.json"


def resolve_here(value: Any, directory: Path) -> Any:
    """Replace ``{here}/...`` by paths in ``directory``, in any nesting of dicts and lists.

    >>> resolve_here({"model": "{here}/models/llm", "stack": [3]}, Path("packed"))
    {'model': 'packed/models/llm', 'stack': [3]}
    """
    if isinstance(value, dict):
        return {key: resolve_here(item, directory) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_here(item, directory) for item in value]
    if isinstance(value, str) and value.startswith(f"{HERE}/models/"):
        return str(_find_model(value.rsplit("/", 1)[1], directory))
    if isinstance(value, str) and value.startswith(f"{HERE}/"):
        return str(directory / value.removeprefix(f"{HERE}/"))
    return value


def _find_model(name: str, directory: Path) -> Path:
    """The directory of a model that a packed directory refers to.

    Raises:
        UserError: if it is nowhere, or is another model than at packing.
    """
    inside = directory / "models" / name
    record = directory / MODELS
    if inside.is_dir() or not record.is_file():
        return inside
    about = read_json(record)[name]
    outside = Path(about["path"])
    if not outside.is_dir():
        raise UserError(
            f"the model '{name}' is not here, and no longer at {outside}",
            str(inside),
            f"put it there (tools/fetch_model.py {name} --output {inside}), "
            "or pack with --copy_models",
        )
    if weights_sha256(outside) != about["sha256"]:
        raise UserError(
            f"the model '{name}' has changed since this one was packed (sha256 of its weights)",
            str(outside),
            f"put the right one into {inside}",
        )
    return outside


def check_model_directory(directory: str | Path) -> Path:
    """The directory of a model of this program, packed or of a training.

    Raises:
        UserError: if there is none, saying what is there instead.
    """
    if not str(directory):
        raise UserError(f"expected a model directory, found {directory!r}")
    path = Path(directory)
    mend = "give a training directory, or one that slm_pack made"
    if not path.exists():
        raise UserError("no such directory", str(path), mend)
    if not path.is_dir():
        raise UserError("a file, not the directory of a model", str(path), mend)
    if (path / CONFIG).is_file():
        return path
    inside = sorted(child.parent for child in path.glob(f"*/{CONFIG}"))
    if inside:
        raise UserError("no config.yaml here", str(path), f"did you mean {inside[0]}?")
    if (path / "config.json").is_file():
        what = "no config.yaml here, but a model of Hugging Face, which is only a part of ours"
        raise UserError(what, str(path), mend)
    raise UserError("no config.yaml here", str(path), mend)


def read_model_values(directory: str | Path) -> dict[str, Any]:
    """The keys and values of the configuration of a model, paths resolved.

    Raises:
        UserError: if there is no configuration, or a model that it names is nowhere.
    """
    directory = check_model_directory(directory)
    values: dict[str, Any] = resolve_here(read_yaml(directory / CONFIG), directory)
    return values


def read_model_config(directory: str | Path) -> SLMConfig:
    """The checked configuration of a model.

    Raises:
        UserError: as :func:`read_model_values`, and for mistakes in the configuration.
    """
    return parse_slm_config(read_model_values(directory), str(Path(directory) / CONFIG))
