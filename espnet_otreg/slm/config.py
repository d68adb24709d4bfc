"""The configuration of a spoken language model, checked in whole before anything heavy loads.

Importing this module loads neither torch nor ESPnet, so a mistake in a YAML file is reported
within a second or two instead of after the models have been read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from espnet_otreg.config import did_you_mean, not_negative, parse_config, positive, probability
from espnet_otreg.data.audio.options import AudioOptions
from espnet_otreg.data.languages import language_or_default
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.regularizers.registry import NamedRegularizer, parse_regularizers
from espnet_otreg.slm.encoders.base import EncoderConfig
from espnet_otreg.slm.encoders.registry import DEFAULT_ENCODER, parse_encoder
from espnet_otreg.slm.espnet_classes import espnet_class_names
from espnet_otreg.slm.projector_config import PROJECTORS
from espnet_otreg.yaml_hints import text_hint

SPEECH = "{speech}"
ALL_LINEAR = "all-linear"  # peft's name for all linear layers, except the output layer


@dataclass(frozen=True)
class LLMConfig:
    """A causal LLM by local directory or hub name; its sizes are read from it."""

    model: str
    adapter: Literal["none", "lora"] = "none"
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    lora_targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    dtype: Literal["checkpoint", "float32", "bfloat16"] = "checkpoint"
    # Keep the inputs of the LLM's layers only and compute the rest again in the backward pass.
    activation_checkpointing: bool = False
    anchor_token: str | None = None  # for an LLM without a usable pad token

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = positive(lora_rank=self.lora_rank, lora_alpha=self.lora_alpha) + probability(
            lora_dropout=self.lora_dropout
        )
        targets = self.lora_targets
        if not targets:
            errors.append("lora_targets: empty; name linear layers, or [all-linear]")
        if twice := sorted({name for name in targets if targets.count(name) > 1}):
            errors.append(f"lora_targets: {twice[0]!r} stands there twice")
        if ALL_LINEAR in targets and len(targets) > 1:
            errors.append(f"lora_targets: {ALL_LINEAR} names all layers; give it alone")
        return errors


@dataclass(frozen=True)
class PromptConfig:
    """What stands around the speech, per language; ``default`` serves all other languages.

    A language may be named as :func:`espnet_otreg.data.languages.canonical_language` takes it.
    """

    templates: dict[str, str] = field(default_factory=lambda: {"default": SPEECH})
    chat: bool = False  # the template becomes a user's message in the LLM's own chat template
    stop: tuple[str, ...] = ()  # tokens that end a transcript, besides the LLM's own
    # "restart": the transcript's positions run beside the speech's, which makes copying a matter
    # of looking straight across; for an LLM that was trained so, as the mini LLM is.
    positions: Literal["continue", "restart"] = "continue"

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = [
            f"templates.{language}: must contain {SPEECH} exactly once, found {template!r}"
            for language, template in self.templates.items()
            if template.count(SPEECH) != 1
        ]
        if "default" not in self.templates:
            errors.append("templates.default: missing; it serves the languages that are not named")
        names: dict[str, str] = {}
        for name in self.templates:
            try:
                code = language_or_default(name)
            except UserError as error:
                errors.append(f"templates.{name}: {error}")
                continue
            if names.setdefault(code, name) != name:
                errors.append(
                    f"templates.{name}: the same language as templates.{names[code]}; remove one"
                )
        return errors

    def by_language(self) -> dict[str, str]:
        """The templates by canonical language, and ``default``."""
        return {language_or_default(name): text for name, text in self.templates.items()}


@dataclass(frozen=True)
class CompressionConfig:
    """Fewer speech embeddings for the LLM; no transcript is needed, so inference does the same."""

    method: Literal["none", "ctc", "similarity"] = "none"
    drop_threshold: float = 0.9  # probability (ctc) or cosine (similarity) of the anchor
    merge_threshold: float = 0.9  # cosine of neighbours (similarity only)
    # ctc only: what a run of frames becomes. "frames": their mean. "posterior": the mean of the
    # token embeddings that they are read as, weighted by probability; it lies among the LLM's own
    # embeddings, where an LLM that was trained on text alone is at home.
    values: Literal["frames", "posterior"] = "frames"

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = []
        if self.values == "posterior" and self.method != "ctc":
            errors.append(f"values: posterior needs method ctc, found {self.method}")
        return errors + [
            f"{name}: must be in (0, 1], found {value}"
            for name, value in vars(self).items()
            if name.endswith("threshold") and not 0 < value <= 1
        ]


@dataclass(frozen=True)
class ReadoutConfig:
    """The tokens that the projector's CTC read-out knows (stage 6)."""

    classes: str | None = None  # path of classes.json
    initial_scale: float = 20.0  # logits are scale * cosine; learnt

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return positive(initial_scale=self.initial_scale)


@dataclass(frozen=True)
class ModelConfig:
    """Loss weights and safety."""

    cross_entropy_weight: float = 1.0  # 0: the LLM is never run (stage 8)
    label_smoothing: float = 0.0
    embedding_noise: float = 0.0  # standard deviation, relative to the embedding norm; training
    max_nonfinite_steps: int = 10
    extract_feats_in_collect_stats: bool = False

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = positive(max_nonfinite_steps=self.max_nonfinite_steps) + probability(
            label_smoothing=self.label_smoothing
        )
        return errors + not_negative(
            cross_entropy_weight=self.cross_entropy_weight, embedding_noise=self.embedding_noise
        )


@dataclass(frozen=True)
class SLMConfig:
    """Everything that :func:`espnet_otreg.slm.build.build_model` needs."""

    encoder: str
    encoder_conf: EncoderConfig
    frontend: str | None
    frontend_conf: dict[str, Any]
    specaug: str | None
    specaug_conf: dict[str, Any]
    normalize: str | None
    normalize_conf: dict[str, Any]
    projector: str
    projector_conf: Any
    llm_conf: LLMConfig
    prompt_conf: PromptConfig
    compression_conf: CompressionConfig
    readout_conf: ReadoutConfig
    model_conf: ModelConfig
    audio_conf: AudioOptions
    regularizers: tuple[NamedRegularizer, ...]
    train: tuple[str, ...]
    freeze: tuple[str, ...]

    @property
    def reads_features(self) -> bool:
        """Whether the model reads features made beforehand, and not samples."""
        return self.encoder_conf.reads_features


SECTIONS: dict[str, type] = {
    "llm_conf": LLMConfig,
    "prompt_conf": PromptConfig,
    "compression_conf": CompressionConfig,
    "readout_conf": ReadoutConfig,
    "model_conf": ModelConfig,
    "audio_conf": AudioOptions,
}


_KINDS = ("encoder", "frontend", "specaug", "normalize", "projector")


def _well_formed(values: Mapping[str, Any], errors: list[str]) -> dict[str, Any]:
    """The values without those that are no name, no mapping or no list where one belongs."""
    expected: dict[str, tuple[str, Callable[[Any], bool]]] = {
        **dict.fromkeys(_KINDS, ("a name", lambda value: isinstance(value, str))),
        **dict.fromkeys(
            [*SECTIONS, *(f"{kind}_conf" for kind in _KINDS)],
            ("keys and values", lambda value: isinstance(value, Mapping)),
        ),
        **dict.fromkeys(("train", "freeze"), ("regular expressions", _is_text_or_texts)),
    }
    kept = dict(values)
    for key, (what, fits) in expected.items():
        value = kept.get(key)
        if value is not None and value != [] and not fits(value):
            hint = text_hint(value)
            errors.append(f"{key}: expected {what}, found {kept.pop(key)!r}{hint}")
    return kept


def _is_text_or_texts(value: Any) -> bool:
    several = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
    return several or isinstance(value, str)


def _patterns(values: Mapping[str, Any], key: str, errors: list[str]) -> tuple[str, ...]:
    patterns = values.get(key) or ()
    if isinstance(patterns, str):
        patterns = (patterns,)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            errors.append(f"{key}: {pattern!r} is not a regular expression ({error})")
    return tuple(patterns)


def parse_slm_config(values: Mapping[str, Any], where: str = "") -> SLMConfig:
    """Check the model's part of a training configuration and make it typed.

    Args:
        values: the mapping of a YAML file or ``vars()`` of ESPnet's arguments; keys that are
            ESPnet's own (optimiser, batches, ...) are left alone.
        where: name of the file, for the message.

    Raises:
        ConfigErrors: with every mistake at once.

    >>> config = parse_slm_config({"llm_conf": {"model": "exp/llm"}})
    >>> config.projector, config.projector_conf.stack
    ('stack_transformer', 3)
    >>> parse_slm_config({"projector": "stack_mpl", "llm_conf": {"modle": "x"}})
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.ConfigErrors: 3 configuration errors: (1) projector: unknown name \
'stack_mpl'; did you mean 'stack_mlp'? (2) llm_conf.modle: unknown key; did you mean 'model'? \
(3) llm_conf.model: missing
    """
    errors: list[str] = []
    values = _well_formed(values, errors)
    fields: dict[str, Any] = {
        "encoder": values.get("encoder") or DEFAULT_ENCODER,
        "encoder_conf": parse_encoder(values, errors),
    }
    for kind in ("frontend", "specaug", "normalize"):
        name = values.get(kind)
        if name is not None and name not in espnet_class_names(kind):
            hint = did_you_mean(str(name), espnet_class_names(kind))
            errors.append(f"{kind}: unknown name {name!r}; {hint}")
        fields[kind] = name
        fields[f"{kind}_conf"] = dict(values.get(f"{kind}_conf") or {})
    projector = values.get("projector") or "stack_transformer"
    fields["projector"] = projector
    if projector in PROJECTORS:
        conf = values.get("projector_conf") or {}
        fields["projector_conf"] = parse_config(
            PROJECTORS[projector], conf, "projector_conf", errors
        )
    else:
        hint = did_you_mean(str(projector), PROJECTORS)
        errors.append(f"projector: unknown name {projector!r}; {hint}")
    for key, cls in SECTIONS.items():
        fields[key] = parse_config(cls, values.get(key) or {}, key, errors)
    try:
        fields["regularizers"] = tuple(parse_regularizers(values.get("regularizers") or []))
    except ConfigErrors as found:
        errors.extend(found.errors)
    for key in ("train", "freeze"):
        fields[key] = _patterns(values, key, errors)
    compression, readout = fields["compression_conf"], fields["readout_conf"]
    needed = (compression and compression.method == "ctc") or any(
        named.config.needs_readout for named in fields.get("regularizers", ())
    )
    if needed and readout and not readout.classes:
        errors.append("readout_conf.classes: missing; ctc and voice_activity need those of stage 6")
    if errors:
        raise ConfigErrors(errors, where)
    return SLMConfig(**fields)
