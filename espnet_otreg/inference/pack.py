"""A trained model as one directory that can be moved and loaded elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.joint_weights import DECODE_FILE, find_joint_weights
from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, copy_file, read_json, replace_directory, write_json
from espnet_otreg.inference.feature_extractor import FEATURES, feature_record
from espnet_otreg.inference.model_card import model_card
from espnet_otreg.inference.parts import PretrainedModel, describe_pretrained
from espnet_otreg.scoring.normalize import normalizer_version
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.checkpoint import save_checkpoint
from espnet_otreg.slm.config import SECTIONS
from espnet_otreg.slm.model_dir import CONFIG, HERE, MODELS, PROMPT, read_model_values
from espnet_otreg.slm.trained_languages import RECORD

# The parts of a training's configuration that make the model; regularizers add nothing to it.
_PARTS = ("encoder", "frontend", "specaug", "normalize", "projector")
_KEYS = (*_PARTS, *(f"{part}_conf" for part in _PARTS), *SECTIONS, "train", "freeze")


def _packed_config(
    values: Mapping[str, Any],
    llm: PretrainedModel,
    encoder: PretrainedModel | None,
    directory: Path,
) -> dict[str, Any]:
    """The configuration of the packed model; files that it names are copied into ``directory``."""
    config = {key: values[key] for key in _KEYS if values.get(key) is not None}
    config["llm_conf"] = {**config["llm_conf"], "model": llm.reference}
    if encoder is not None and "model" in (config.get("encoder_conf") or {}):
        config["encoder_conf"] = {**config["encoder_conf"], "model": encoder.reference}
    if (config.get("readout_conf") or {}).get("classes"):
        _write_classes(config["readout_conf"]["classes"], directory / "classes.json")
        config["readout_conf"] = {**config["readout_conf"], "classes": f"{HERE}/classes.json"}
    return {key: _with_copied_files(value, key, directory) for key, value in config.items()}


def _with_copied_files(value: Any, name: str, directory: Path) -> Any:
    """The value after every file that it names, at any depth, was copied to ``directory/files``."""
    if isinstance(value, dict):
        return {
            key: _with_copied_files(item, f"{name}.{key}", directory) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_copied_files(item, f"{name}.{n}", directory) for n, item in enumerate(value)]
    if not isinstance(value, str) or not Path(value).is_file():
        return value
    copied = f"{name}{Path(value).suffix}"
    copy_file(value, directory / "files" / copied)
    return f"{HERE}/files/{copied}"


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
        checkpoint: file in ``model_dir``; by default the one that the experiment uses, see
            :func:`espnet_otreg.slm.build.checkpoint_file`.
        copy_models: copy local models of any size.

    Raises:
        UserError: if something that the model needs is missing or damaged.
    """
    model_dir, output = Path(model_dir), Path(output)
    if output.exists() and not (output / CONFIG).is_file() and any(output.iterdir()):
        raise UserError("something else is there", str(output), "give a directory of its own")
    values = read_model_values(model_dir)
    model = load_model(model_dir, checkpoint)
    llm = describe_pretrained("llm", values["llm_conf"]["model"], copy_models)
    features = feature_record(model_dir, values) if model.config.reads_features else None
    made_of = features["encoder"] if features else model.config.encoder_conf.pretrained
    encoder = describe_pretrained("encoder", made_of, copy_models) if made_of else None
    if features and encoder and encoder.sha256 != features["encoder_sha256"]:
        raise UserError("the encoder has changed since it made the features", features["encoder"])
    models = [llm, *([encoder] if encoder else [])]
    weights = find_joint_weights(model_dir)
    with replace_directory(output) as fresh:
        for part in models:
            if part.copied:
                part.copy(fresh / "models" / part.name)
        save_checkpoint(fresh / "model.pth", model.state_dict())
        config = _packed_config(values, llm, encoder, fresh)
        with atomic_write(fresh / CONFIG) as file:
            yaml.safe_dump(config, file, sort_keys=True, allow_unicode=True)
        if features is not None and encoder is not None:
            kept = ("encoder_sha256", "frame_seconds", "dim", "sample_rate", "trailing_silence")
            record = {key: features[key] for key in (*kept, "dtype")}
            record["layer"] = features.get("layer")
            write_json(fresh / FEATURES, {**record, "encoder": encoder.reference})
        write_json(fresh / PROMPT, model.prompt.as_json())
        if (model_dir / RECORD).is_file():
            copy_file(model_dir / RECORD, fresh / RECORD)
        write_json(fresh / MODELS, {part.name: part.as_json() for part in models})
        decoding = {**asdict(weights[0] if weights else JointWeights())}
        if weights:
            decoding["search"] = asdict(weights[1])
        decoding["normalizer"] = normalizer_version()
        write_json(fresh / DECODE_FILE, {**decoding, "tuned": weights is not None})
        libraries = {name: version(name) for name in ("espnet_otreg", "torch", "transformers")}
        with atomic_write(fresh / "README.md") as file:
            file.write(model_card(model, models, decoding, libraries))
