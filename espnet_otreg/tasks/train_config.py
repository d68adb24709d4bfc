"""Check a whole training configuration, ESPnet's options included, without importing ESPnet."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.files import parse_yaml, read_yaml
from espnet_otreg.objectives import ObjectiveConfig, parse_objective
from espnet_otreg.slm.config import SECTIONS, parse_slm_config
from espnet_otreg.slm.encoders.registry import encoder_class, parse_encoder
from espnet_otreg.slm.espnet_classes import espnet_option_names
from espnet_otreg.slm.espnet_options import NOTHING, option_errors
from espnet_otreg.slm.espnet_signatures import espnet_options
from espnet_otreg.slm.llm_files import anchor_errors
from espnet_otreg.slm.train_data import (
    checkpoint_errors,
    feature_errors,
    parse_sources,
    set_errors,
)
from espnet_otreg.tasks.own_options import TRAINING_OPTIONS, training_option_errors

_OWN = {"encoder", "frontend", "specaug", "normalize", "projector"}
OWN_OPTIONS = frozenset(
    {*_OWN, *(f"{name}_conf" for name in _OWN), *SECTIONS, "regularizers", "objective"}
    | {"train", "freeze", "overwrite", "sanity"}
)
_SECTION_OPTIONS = (
    *(name for name in sorted(OWN_OPTIONS) if name.endswith("_conf")),
    "optim_conf",
    "scheduler_conf",
)
_READ_ELSEWHERE = frozenset(
    {"config", "init_param", "regularizers", "objective", "lr_scale", *_OWN, *_SECTION_OPTIONS}
    | {f"{kind}_{name}" for kind in ("train", "valid")
       for name in ("data_path_and_name_and_type", "shape_file")}
)  # fmt: skip
_NAMES = (*sorted(_OWN), "optim", "scheduler", "batch_type", "valid_batch_type", "output_dir")
_CHECKED = {"int", "int_or_none", "float", "str2bool"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message, "command line", "--help_all shows all options")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options that can be checked here; ESPnet parses all of them again."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    for name in _SECTION_OPTIONS:
        parser.add_argument(f"--{name}", action="append", default=[])
    for name, option in espnet_options().items():
        if option.kind in _CHECKED or option.choices or name.endswith("cache_size"):
            several = "+" if name == "keep_nbest_models" else None
            action = "append" if option.several and not several else "store"
            parser.add_argument(f"--{name}", nargs=several, action=action)
    for name in (*_NAMES, *TRAINING_OPTIONS, "overwrite", "sanity", "regularizers", "objective"):
        parser.add_argument(f"--{name}")
    for kind in ("train", "valid"):
        parser.add_argument(f"--{kind}_data_path_and_name_and_type", action="append", default=[])
        parser.add_argument(f"--{kind}_shape_file", action="append", default=[])
    parser.add_argument("--init_param", nargs="*", default=[])
    return parser.parse_known_args(arguments)[0]


def _with_word(section: str, values: Mapping[str, Any], word: str) -> dict[str, Any]:
    """A section after one word of the command line: ``a=1``, ``a.b=1`` or ``{a: 1}``.

    Raises:
        UserError: if it is none of them.
    """
    name, equals, text = word.partition("=")
    if not equals:
        given = parse_yaml(word, f"--{section}")
        if not isinstance(given, Mapping):
            raise UserError(f"expected KEY=VALUE, found {word!r}", f"--{section}", "correct it")
        return {**values, **given}
    value = parse_yaml(text, f"--{section} {name}") if text.strip() else text
    first, _, rest = name.partition(".")
    if rest:
        value = _with_word(section, _section(values, first), f"{rest}={text}")
    return {**values, first: value}


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section, empty if it is none; :func:`parse_slm_config` says what it should be."""
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


def _listed(values: Mapping[str, Any], name: str) -> list[Any]:
    """A list, empty if it is none, which is reported elsewhere."""
    value = values.get(name)
    return list(value) if isinstance(value, (list, tuple)) else []


def _data_errors(
    given: argparse.Namespace, values: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    """Mistakes in tables and checkpoints; ``names`` are those of the data that there must be."""

    def everywhere(name: str) -> list[Any]:
        listed = values.get(name) or []
        is_source = name.endswith("_type")  # path,name,type may be a list itself
        if not isinstance(listed, (list, tuple)) or not all(
            isinstance(item, str) or is_source for item in listed
        ):
            errors.append(f"{name}: expected a list of texts, found {listed!r}")
            listed = []
        return [*listed, *getattr(given, name)]

    errors: list[str] = []
    sets = []
    for kind in ("train", "valid"):
        option = f"{kind}_data_path_and_name_and_type"
        sets.append(parse_sources(f"--{option}", everywhere(option), errors))
        errors += set_errors(kind, sets[-1], everywhere(f"{kind}_shape_file"), names)
    if encoder_class(values).reads_features:
        errors += feature_errors(sets, parse_encoder(values, []))
    return errors + checkpoint_errors(everywhere("init_param"))


def _is_missing(path: Any) -> bool:
    """Whether this is certainly a path, not a name of the hub, and not there."""
    is_path = isinstance(path, str) and (path.startswith(("/", ".")) or path.count("/") > 1)
    return is_path and not Path(path).exists()


def _has_no_chat_template(values: Mapping[str, Any]) -> bool:
    """Whether the LLM is a directory with a tokenizer, and that has no chat template."""
    directory = Path(str(_section(values, "llm_conf").get("model")))
    tokenizer = directory / "tokenizer_config.json"
    if not tokenizer.is_file() or any(directory.glob("*chat_template*")):
        return False
    return "chat_template" not in tokenizer.read_text(encoding="utf-8")


def value_errors(values: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> list[str]:
    """Every mistake in the keys and values of a training's YAML, whatever they name.

    Args:
        values: of the file.
        options: ESPnet's options of the command line, which come before those of the file.

    >>> value_errors({"llm_conf": {"model": "exp/llm"}, "projektor": "stack_mlp"})
    ["projektor: unknown key; did you mean 'projector'?"]
    """
    known = OWN_OPTIONS | {*TRAINING_OPTIONS} | espnet_option_names()
    errors = [
        f"{key}: unknown key; {did_you_mean(str(key), known)}"
        for key in values
        if key not in known | {"config", "check"}
    ]
    if "overwrite" in values:  # or every repetition of the command would lose what is there
        errors.append("overwrite: not in a file; give --overwrite true when it is meant")
    try:
        parse_slm_config(values)
    except ConfigErrors as found:
        errors += found.errors
    parse_objective(values.get("objective"), errors)
    together = {**values, **(options or {})}
    return errors + option_errors(together) + training_option_errors(together)


def check_train_arguments(arguments: Sequence[str], data: bool = True) -> None:
    """Find every mistake of a training's command line, of its YAML file and of its data.

    Args:
        arguments: the command line.
        data: whether the data has to be there already.

    Raises:
        ConfigErrors: with all of them at once.
        UserError: if the file is no YAML.
    """
    given = _parse(arguments)
    values = read_yaml(given.config) if given.config else {}
    for section in _SECTION_OPTIONS:
        for word in getattr(given, section):
            values[section] = _with_word(section, _section(values, section), word)
    for name in _OWN:
        if getattr(given, name) is not None:
            values[name] = None if getattr(given, name).lower() in NOTHING else getattr(given, name)
    for name in ("regularizers", "objective", "lr_scale"):
        if getattr(given, name) is not None:
            values[name] = parse_yaml(getattr(given, name), f"--{name}")
    known = OWN_OPTIONS | {*TRAINING_OPTIONS} | espnet_option_names()
    named = [word[2:].partition("=")[0] for word in arguments if word.startswith("--")]
    errors = [
        f"--{name}: unknown option; {did_you_mean(name, known)}"
        for name in named
        if name not in known | {"config", "check"}
    ]
    shapes = [*_listed(values, "train_shape_file"), *given.train_shape_file]
    scalars = {k: v for k, v in vars(given).items() if v is not None and k not in _READ_ELSEWHERE}
    if given.fold_length:  # is added to what the file says
        scalars["fold_length"] = [*_listed(values, "fold_length"), *given.fold_length]
    scalars["train_shape_file"] = shapes if data else None
    errors = value_errors(values, scalars) + errors
    if data and not (given.output_dir or values.get("output_dir")):
        errors.append("--output_dir: missing; name the directory that the training goes to")
    for section in ("llm_conf", "encoder_conf"):
        model = _section(values, section).get("model")
        if _is_missing(model):
            errors.append(f"{section}.model: no such directory: {model}")
    errors += anchor_errors(_section(values, "llm_conf"))
    if _section(values, "prompt_conf").get("chat") and _has_no_chat_template(values):
        errors.append("prompt_conf.chat: the LLM has no chat template; set it to false")
    classes = _section(values, "readout_conf").get("classes")
    if isinstance(classes, str) and not Path(classes).is_file():
        errors.append(f"readout_conf.classes: no such file: {classes}")
    if data:
        objective = parse_objective(values.get("objective"), [])
        config = objective.config if objective is not None else ObjectiveConfig()
        errors += _data_errors(given, values, config.data_names)
    if errors:
        raise ConfigErrors(errors, str(given.config or "command line"))
