"""From a checked configuration to a spoken language model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import UserError
from espnet_otreg.experiment import training_of
from espnet_otreg.files import read_json
from espnet_otreg.slm.checkpoint import load_checkpoint, naming_checkpoint
from espnet_otreg.slm.config import ReadoutConfig, SLMConfig
from espnet_otreg.slm.device import usable_device
from espnet_otreg.slm.encoders.frame_rate import frame_seconds_of
from espnet_otreg.slm.espnet_classes import espnet_class
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.model_dir import PROMPT, read_model_config
from espnet_otreg.slm.projectors import Projector
from espnet_otreg.slm.prompt import Prompt, build_prompt, check_rows
from espnet_otreg.slm.readout import TokenReadout
from espnet_otreg.slm.trained_languages import read_trained_languages


def _optional(kind: str, name: str | None, conf: Mapping[str, Any]) -> nn.Module | None:
    if name is None:
        return None
    try:
        module: nn.Module = espnet_class(kind, name)(**conf)
    except (TypeError, ValueError) as error:
        raise UserError(str(error), f"{kind}_conf", "correct the option") from error
    return module


def build_readout(config: ReadoutConfig, llm: LLM) -> TokenReadout | None:
    """The CTC read-out over the token classes of stage 6, or None if none are named.

    Raises:
        UserError: if the classes were made for another LLM.
    """
    if config.classes is None:
        return None
    classes = read_json(config.classes)
    if classes["anchor_token_id"] != llm.anchor_id or max(classes["token_ids"]) >= (
        llm.vocabulary_size
    ):
        raise UserError(
            "these token classes were made for another LLM", config.classes, "run stage 6 again"
        )
    return TokenReadout(
        classes["token_ids"],
        llm.anchor_id,
        llm.vocabulary_size,
        llm.embed,
        config.initial_scale,
    )


def select_trainable(model: nn.Module, train: tuple[str, ...], freeze: tuple[str, ...]) -> None:
    """Switch parameters on (``train``), then off (``freeze``), by regular expressions.

    Raises:
        UserError: if an expression matches no parameter.

    >>> model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    >>> select_trainable(model, (), ("^0[.]",))
    >>> [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ['1.weight', '1.bias']
    """
    names = dict(model.named_parameters())
    for option, patterns, value in (("train", train, True), ("freeze", freeze, False)):
        for pattern in patterns:
            matched = [name for name in names if re.search(pattern, name)]
            if not matched:
                modules = sorted({name.split(".")[0] for name in names})
                raise UserError(
                    f"{pattern!r} matches no parameter", option, did_you_mean(pattern, modules)
                )
            for name in matched:
                names[name].requires_grad_(value)


def _readout_learns(config: SLMConfig) -> bool:
    """Whether any loss reaches the read-out's scale: several processes refuse to train a parameter
    that none reaches."""
    compression = config.compression_conf
    posterior = compression.method == "ctc" and compression.values == "posterior"
    return (posterior and config.model_conf.cross_entropy_weight > 0) or any(
        named.config.needs_readout and named.config.weight > 0 for named in config.regularizers
    )


def build_model(config: SLMConfig) -> SpokenLanguageModel:
    """Build the model; all sizes are read from its parts.

    Raises:
        UserError: if a part cannot be loaded or does not fit.
    """
    frontend = _optional("frontend", config.frontend, config.frontend_conf)
    specaug = _optional("specaug", config.specaug, config.specaug_conf)
    normalize = _optional("normalize", config.normalize, config.normalize_conf)
    input_size = int(frontend.output_size()) if frontend is not None else None  # type: ignore[operator]
    encoder = config.encoder_conf.build(input_size)
    if config.encoder_conf.frozen:
        encoder.requires_grad_(False)
    llm = LLM(config.llm_conf)
    projector = Projector(
        config.projector_conf, encoder.output_size(), llm.embedding_size, llm.mean_embedding_norm()
    )
    eos = getattr(llm.model.generation_config, "eos_token_id", None)
    prompt = build_prompt(config.prompt_conf, llm.tokenizer, eos)
    check_rows(prompt, llm.tokenizer, llm.vocabulary_size)
    model = SpokenLanguageModel(
        config,
        frontend,
        specaug,
        normalize,
        encoder,
        projector,
        llm,
        prompt,
        build_readout(config.readout_conf, llm),
        frame_seconds_of(encoder, frontend),
    )
    select_trainable(model, config.train, config.freeze)
    if model.readout is not None and not _readout_learns(config):
        model.readout.requires_grad_(False)
    return model


def load_model(
    directory: str | Path, checkpoint: str | None = None, device: str = "cpu"
) -> SpokenLanguageModel:
    """Load a trained model for inference.

    Args:
        directory: a training directory, or one made by stage 15.
        checkpoint: file name in it; by default as :func:`checkpoint_file` chooses.
        device: for instance ``"cpu"`` or ``"cuda"``.

    Raises:
        UserError: if there is no configuration or checkpoint, or they do not fit together.
    """
    directory, device = Path(directory), usable_device(device)
    config = read_model_config(directory)
    path = checkpoint_file(directory, checkpoint)
    model = build_model(config)
    check_prompt(model.prompt, directory)
    trained = read_trained_languages(directory, config.prompt_conf.by_language())
    model.prompt = replace(model.prompt, trained=trained)
    state = load_checkpoint(path)
    with naming_checkpoint(path):
        model.load_state_dict(state)
    return model.to(device).eval()


def check_prompt(prompt: Prompt, directory: Path) -> None:
    """Compare a prompt with the one that was packed with the model.

    Raises:
        UserError: if the LLM's tokenizer no longer makes the same tokens of it.
    """
    path = directory / PROMPT
    if path.is_file() and read_json(path) != json.loads(json.dumps(prompt.as_json())):
        raise UserError(
            "the LLM's tokenizer makes other tokens of the prompt than when this was packed",
            str(path),
            "use the LLM and the version of transformers that README.md names",
        )


def checkpoint_file(directory: Path, name: str | None = None) -> Path:
    """The checkpoint of that name; where none is named, the one that the experiment uses.

    Outside of a recipe it is the averaged one, else the best, else the latest.

    Raises:
        UserError: if there is no such file.
    """
    if name is None:
        training = training_of(directory)
        name = training.checkpoint if training else _any_checkpoint(directory)
    path = directory / name
    if not path.is_file():
        raise UserError("no such checkpoint", str(path), "train first, or name another one")
    return path


def _any_checkpoint(directory: Path) -> str:
    for pattern in ("model.pth", "*.ave.pth", "*.ave_*best.pth", "*.best.pth", "latest.pth"):
        found = sorted(path.name for path in directory.glob(pattern))
        if found:
            return found[0]
    raise UserError("no checkpoint here", str(directory), "train first")
