"""The pretrained models that a trained model is made of: where they are, origin and licence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from espnet_otreg.files import copy_file, read_json
from espnet_otreg.models_offline.directory import model_directory, weights_sha256
from espnet_otreg.slm.model_dir import HERE

SMALL = 200_000_000  # bytes of a local model up to which it is copied without being asked


@dataclass(frozen=True)
class PretrainedModel:
    """An LLM or encoder that a model is made of.

    Attributes:
        role: ``"llm"`` or ``"encoder"``.
        name: of its directory, or its hub name.
        path: the directory that was packed from; None for a hub name.
        sha256: of its weights.
        licence: as recorded by tools/fetch_model.py, or "not recorded".
        origin: likewise.
        copied: whether the packed directory contains it.
    """

    role: str
    name: str
    path: str | None
    sha256: str
    licence: str
    origin: str
    copied: bool

    @property
    def reference(self) -> str:
        """How the packed configuration calls it."""
        return self.name if self.path is None else f"{HERE}/models/{self.name}"

    def as_json(self) -> dict[str, Any]:
        """Without the place that a copy was made from, which means nothing elsewhere."""
        return asdict(self) | ({"path": None} if self.copied else {})

    def copy(self, directory: Path) -> None:
        """Copy the model into ``directory``; checkpoints of its own training stay behind."""
        assert self.path is not None
        for path in sorted(Path(self.path).iterdir()):
            kept = path.suffix not in (".pth", ".ckpt", ".log") and path.name[0] != "."
            if path.is_file() and kept:
                copy_file(path, directory / path.name)


def describe_pretrained(role: str, model: str, copy_models: bool) -> PretrainedModel:
    """What is known of a pretrained model.

    Args:
        role: ``"llm"`` or ``"encoder"``.
        model: its directory or hub name.
        copy_models: whether a local model is copied whatever its size.

    Raises:
        UserError: if it is not there, or has no weights.
    """
    local = Path(model).is_dir()
    directory = model_directory(model)
    record = directory / "model.json"
    about = read_json(record) if record.is_file() else {}
    size = sum(path.stat().st_size for path in directory.glob("*.safetensors"))
    return PretrainedModel(
        role=role,
        name=directory.resolve().name if local else model,
        path=str(directory.resolve()) if local else None,
        sha256=weights_sha256(directory),
        licence=(about.get("licence") or {}).get("name", "not recorded"),
        origin=about.get("origin") or about.get("hub_id") or ("a local model" if local else model),
        copied=local and (copy_models or size <= SMALL),
    )
