"""A trained model as one directory that can be moved and loaded elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from espnet_otreg.data.kaldi_dir import replace_directory
from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.results import DECODE_FILE, find_joint_weights
from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, read_json, write_json
from espnet_otreg.models_offline.directory import model_directory, weights_sha256
from espnet_otreg.scoring.normalize import normalizer_version
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.config import SECTIONS
from espnet_otreg.slm.model_card import model_card
from espnet_otreg.slm.model_dir import CONFIG, HERE, MODELS, PROMPT, read_model_values
from espnet_otreg.slm.speech_encoder import FEATURES, feature_record
from espnet_otreg.slm.trained_languages import RECORD

SMALL = 200_000_000  # bytes of a local model up to which it is copied without being asked
# The parts of a training's configuration that make the model; regularizers add nothing to it.
_PARTS = ("encoder", "frontend", "specaug", "normalize", "projector")
_KEYS = (*_PARTS, *(f"{part}_conf" for part in _PARTS), *SECTIONS, "train", "freeze")


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


def _describe(role: str, model: str, copy_models: bool) -> PretrainedModel:
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


def _as_json(model: PretrainedModel) -> dict[str, Any]:
    """Without the place that a copy was made from, which means nothing elsewhere."""
    return asdict(model) | ({"path": None} if model.copied else {})


def _copy_model(model: PretrainedModel, target: Path) -> None:
    assert model.path is not None
    target.mkdir(parents=True)
    for path in sorted(Path(model.path).iterdir()):
        if path.is_file() and path.suffix not in (".pth", ".ckpt", ".log") and path.name[0] != ".":
            shutil.copyfile(path, target / path.name)


def _packed_config(
    values: Mapping[str, Any], llm: PretrainedModel, encoder: PretrainedModel | None
) -> dict[str, Any]:
    config = {key: values[key] for key in _KEYS if values.get(key) is not None}
    config["llm_conf"] = {**config["llm_conf"], "model": llm.reference}
    if (config.get("readout_conf") or {}).get("classes"):
        config["readout_conf"] = {**config["readout_conf"], "classes": f"{HERE}/classes.json"}
    if config.get("encoder") == "hf_whisper" and encoder is not None:
        config["encoder_conf"] = {**config["encoder_conf"], "model": encoder.reference}
    return config


def _write_classes(source: str, target: Path) -> None:
    classes = read_json(source)
    # Where the tokenizer lay in training says nothing to anyone else; its digest does.
    classes.get("tokenizer", {}).pop("path", None)
    write_json(target, classes)


def pack_model(
    model_dir: str | Path,
    output: str | Path,
    checkpoint: str | None = None,
    copy_models: bool = False,
) -> None:
    """Write ``output``: weights, configuration, prompt, token classes, decoding, model card.

    The model is loaded once, so what is packed is known to fit together. Local models of up to
    200 MB are copied; of larger ones and of hub names the name and the sha256 are written down.

    Args:
        model_dir: a training directory.
        output: the directory to make, or to replace.
        checkpoint: file in ``model_dir``; by default averaged, else best, else latest.
        copy_models: copy local models of any size.

    Raises:
        UserError: if something that the model needs is missing or damaged.
    """
    model_dir, output = Path(model_dir), Path(output)
    if output.exists() and not (output / CONFIG).is_file() and any(output.iterdir()):
        raise UserError("something else is there", str(output), "give a directory of its own")
    values = read_model_values(model_dir)
    model = load_model(model_dir, checkpoint)
    llm = _describe("llm", values["llm_conf"]["model"], copy_models)
    encoder, features = None, None
    if model.config.encoder == "precomputed":
        features = feature_record(model_dir, values)
    if features is not None:
        encoder = _describe("encoder", features["encoder"], copy_models)
        if encoder.sha256 != features["encoder_sha256"]:
            raise UserError(
                "the encoder has changed since it made the features", features["encoder"]
            )
    elif model.config.encoder == "hf_whisper":
        encoder = _describe("encoder", values["encoder_conf"]["model"], copy_models)
    models = [llm, *([encoder] if encoder else [])]
    weights = find_joint_weights(model_dir)
    with replace_directory(output) as fresh:
        for part in models:
            if part.copied:
                _copy_model(part, fresh / "models" / part.name)
        torch.save(model.state_dict(), fresh / "model.pth")
        config = _packed_config(values, llm, encoder)
        with atomic_write(fresh / CONFIG) as file:
            yaml.safe_dump(config, file, sort_keys=True, allow_unicode=True)
        if model.config.readout_conf.classes:
            _write_classes(model.config.readout_conf.classes, fresh / "classes.json")
        if features is not None and encoder is not None:
            kept = ("encoder_sha256", "frame_seconds", "dim", "sample_rate", "trailing_silence")
            record = {key: features[key] for key in (*kept, "dtype")}
            write_json(fresh / FEATURES, {**record, "encoder": encoder.reference})
        write_json(fresh / PROMPT, model.prompt.as_json())
        if (model_dir / RECORD).is_file():
            shutil.copyfile(model_dir / RECORD, fresh / RECORD)
        write_json(fresh / MODELS, {part.name: _as_json(part) for part in models})
        decoding = {**asdict(weights or JointWeights()), "normalizer": normalizer_version()}
        write_json(fresh / DECODE_FILE, {**decoding, "tuned": weights is not None})
        libraries = {name: version(name) for name in ("espnet_otreg", "torch", "transformers")}
        with atomic_write(fresh / "README.md") as file:
            file.write(model_card(model, models, decoding, libraries))
