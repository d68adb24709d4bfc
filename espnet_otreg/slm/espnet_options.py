"""Mistakes in ESPnet's own options that ESPnet itself would answer with a traceback."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.slm.espnet_signatures import Option, espnet_options, signature, table
from espnet_otreg.yaml_hints import is_number, number_hint, text_hint

_SAMPLERS = "samplers/build_batch_sampler.py"
_TABLES = {
    "optim": (("tasks/abs_task.py", "optim_classes"),),
    "scheduler": (("tasks/abs_task.py", "scheduler_classes"),),
    "batch_type": ((_SAMPLERS, "BATCH_TYPES"), (_SAMPLERS, "CATEGORY_BATCH_TYPES")),
    "valid_batch_type": ((_SAMPLERS, "BATCH_TYPES"), (_SAMPLERS, "CATEGORY_BATCH_TYPES")),
}
_OWN = dict.fromkeys(("overwrite", "sanity"), Option("str2bool"))
_MODES = ("min", "max", "auto")
_TRUTHS = {"yes", "true", "t", "y", "on", "1", "no", "false", "f", "n", "off", "0"}
NOTHING = {"none", "null", "nil"}  # words that ESPnet takes for no value
_MAY_BE_ZERO = frozenset(
    "ngpu num_workers num_att_plot nbest_averaging_interval patience seed dist_rank local_rank "
    "upsampling_factor category_upsampling_factor dataset_upsampling_factor".split()
)
_SIZES = frozenset({"max_cache_size", "valid_max_cache_size"})
_ANY_SIGN = frozenset({"wandb_model_log_interval"})
_MAY_BE_INFINITE = frozenset({"grad_clip", "grad_clip_type"})
_LARGEST_SEED = 4_000_000_000  # NumPy takes 32 bits, and the epoch is added
# What ESPnet lists and this task cannot do.
_IMPOSSIBLE = {
    "optim": {"lbfgs": "needs the loss again within a step"},
    "scheduler": {"lambdalr": "needs a function, which YAML cannot give"},
    "iterator_type": dict.fromkeys(("chunk", "task", "none"), "would part speech and transcript"),
}
_IMPOSSIBLE["valid_iterator_type"] = _IMPOSSIBLE["iterator_type"]
# Options that ESPnet's task would carry out where ours makes the optimiser of trained weights only.
_NOT_DONE = ("exclude_weight_decay", "sharded_ddp")


def option_errors(values: Mapping[str, Any]) -> list[str]:
    """Every mistake in ESPnet's options: numbers, names, optimiser, schedule, criteria.

    Args:
        values: of a YAML file and of a command line, whose values may be texts.

    >>> option_errors({"optim": "adamww", "optim_conf": {"lr": "3e-4"}})[0]
    "optim: ESPnet has no 'adamww'; did you mean 'adamw'?"
    >>> option_errors({"optim": "adamw", "optim_conf": {"lr": "3e-4"}})
    ["optim_conf.lr: '3e-4' is text for YAML, write 3.0e-4"]
    >>> option_errors({"batch_size": 0, "accum_grad": "two"})
    ['batch_size: must be positive, found 0', "accum_grad: expected a whole number, found 'two'"]
    """
    errors = []
    for name, value in values.items():
        option = _OWN.get(name) or espnet_options().get(name)
        if name in _TABLES or name in _IMPOSSIBLE:
            errors += _name_errors(name, value)
        elif option is not None:
            errors += _value_errors(name, value, option)
    errors += [
        f"{name}: not with this task, which trains some weights only; remove it"
        for name in _NOT_DONE
        if str(values.get(name, "false")).lower() in ("true", "1", "yes", "on", "t", "y")
    ]
    for kind in ("optim", "scheduler"):
        errors += _conf_errors(kind, values)
    if not errors:
        errors = _batch_errors(values) + _criterion_errors(values)
    return errors


def _name_errors(name: str, value: Any) -> list[str]:
    """A name that ESPnet does not know, or that names what this task cannot do."""
    if value is None or str(value).lower() == "none" and name in ("scheduler", "valid_batch_type"):
        return []
    word = str(value).lower()
    known = {key for place in _TABLES.get(name, ()) for key in table(*place)}
    known = known or {str(choice) for choice in espnet_options()[name].choices}
    impossible = _IMPOSSIBLE.get(name, {})
    if word in impossible:
        return [f"{name}: {word} {impossible[word]}; choose another one"]
    if word not in known:
        hint = text_hint(value) or f"; {did_you_mean(str(value), known - impossible.keys())}"
        return [f"{name}: ESPnet has no '{value}'{hint}"]
    return []


def _value_errors(name: str, value: Any, option: Option) -> list[str]:
    """One option that is a number, a truth value, or one of a few words."""
    if option.several and isinstance(value, (list, tuple)):
        one = replace(option, several=False)
        return [error for item in value for error in _value_errors(name, item, one)][:1]
    if option.several and name == "fold_length" and not isinstance(value, str):
        return [f"{name}: expected a list, found {value!r}"]
    nothing = value is None or (isinstance(value, str) and value.strip().lower() in NOTHING)
    if nothing and (option.kind.endswith("_or_none") or None in option.choices):
        return []
    if option.kind == "str2bool":
        fits = isinstance(value, bool) or str(value).lower() in _TRUTHS
        return [] if fits else [f"{name}: expected true or false, found {value!r}"]
    if name in _SIZES:
        fits = nothing and name != "max_cache_size" or _is_size(value)
        return [] if fits else [f"{name}: expected a size such as 500MB, found {value!r}"]
    if option.choices:
        words = [str(choice) for choice in option.choices if choice is not None]
        found = str(value).upper() if name == "log_level" else str(value)
        if found in words:
            return []
        return [f"{name}: unknown {value!r}{text_hint(value)}; {did_you_mean(str(value), words)}"]
    kind = option.kind.removesuffix("_or_none")
    return _number_errors(name, value, kind == "int") if kind in ("int", "float") else []


def _number_errors(name: str, value: Any, whole: bool) -> list[str]:
    number = _number(value, whole)
    if number is None:
        what = "a whole number" if whole else "a number"
        return [f"{name}: expected {what}, found {value!r}"]
    if name in _ANY_SIGN:
        return []
    if math.isnan(number) or (math.isinf(number) and name not in _MAY_BE_INFINITE):
        return [f"{name}: must be finite, found {value}"]
    if name in _MAY_BE_ZERO:
        if number < 0:
            return [f"{name}: must not be negative, found {value}"]
    elif number <= 0:
        return [f"{name}: must be positive, found {value}"]
    if name == "seed" and number > _LARGEST_SEED:
        return [f"{name}: must be at most {_LARGEST_SEED}, found {value}"]
    return []


def _is_size(value: Any) -> bool:
    if not isinstance(value, str):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    import humanfriendly  # as ESPnet does

    try:
        return bool(humanfriendly.parse_size(value) >= 0)
    except humanfriendly.InvalidSize:
        return False


def _number(value: Any, whole: bool) -> float | None:
    """What ESPnet makes of a value: it converts texts, and takes all else as it is."""
    if isinstance(value, str):
        try:
            return int(value) if whole else float(value)
        except ValueError:
            return None
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    return value if fits else None


def _conf_errors(kind: str, values: Mapping[str, Any]) -> list[str]:
    """Keys that the optimiser or schedule does not take, and values that it cannot use."""
    section, name = f"{kind}_conf", values.get(kind)
    conf = values.get(section) or {}
    if not isinstance(conf, Mapping):
        return [f"{section}: expected keys and values, found {conf!r}"]
    errors = []
    takes = signature(kind, str(name)) if name is not None else None
    if takes is not None:
        errors += [
            f"{section}.{key}: {name} does not take it; {did_you_mean(str(key), takes)}"
            for key in conf
            if key not in takes
        ]
        errors += [
            f"{section}.{key}: missing; {name} needs it"
            for key, must in takes.items()
            if must and key not in conf
        ]
    for key, value in conf.items():
        for item in value if isinstance(value, (list, tuple)) and key != "lr" else [value]:
            errors += _conf_value_errors(f"{section}.{key}", item, key == "last_epoch")
    return errors


def _conf_value_errors(where: str, value: Any, any_sign: bool) -> list[str]:
    rate = where.endswith(".lr")
    if isinstance(value, str) and (rate or is_number(value)):
        hint = number_hint(value).removeprefix("; ")
        return [f"{where}: {hint or f'expected a number, found {value!r}'}"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return [f"{where}: expected a number, found {value!r}"] if rate else []
    if not math.isfinite(value):
        return [f"{where}: must be finite, found {value}"]
    if rate and value <= 0:
        return [f"{where}: must be positive, found {value}"]
    return [f"{where}: must not be negative, found {value}"] if value < 0 and not any_sign else []


def _batch_errors(values: Mapping[str, Any]) -> list[str]:
    """Options about batches that do not go together."""
    errors = []
    iterator = str(values.get("iterator_type") or "sequence")
    kind = str(values.get("batch_type") or "folded").lower()
    if iterator == "sequence" and kind in table(_SAMPLERS, "CATEGORY_BATCH_TYPES"):
        errors.append(f"batch_type: {kind} needs iterator_type: category")
    shapes, folds = values.get("train_shape_file"), values.get("fold_length") or []
    if iterator == "sequence" and kind == "folded" and shapes is not None:
        count = len(shapes)
        if len(folds) != count:
            said = "" if values.get("batch_type") else ", which is ESPnet's default,"
            errors.append(
                f"batch_type: folded{said} needs one fold_length for each train_shape_file, "
                f"found {len(folds)} for {count}; or choose unsorted, sorted, length or numel"
            )
    if str(values.get("use_tf32")).lower() == str(values.get("use_amp")).lower() == "true":
        errors.append("use_tf32: not with use_amp; remove one of them")
    return errors


def _criterion_errors(values: Mapping[str, Any]) -> list[str]:
    criteria = values.get("best_model_criterion") or []
    entries = criteria if isinstance(criteria, list | tuple) else [criteria]
    named = [("best_model_criterion", entry) for entry in entries]
    if "early_stopping_criterion" in values:
        named.append(("early_stopping_criterion", values["early_stopping_criterion"]))
    errors = [
        f"{name}: expected [train or valid, statistic, min or max], found {entry}"
        for name, entry in named
        if not (isinstance(entry, list | tuple) and len(entry) == 3 and entry[2] in _MODES)
    ]
    pair = values.get("val_scheduler_criterion", ("valid", "loss"))
    if not (isinstance(pair, list | tuple) and len(pair) == 2):
        errors.append(
            f"val_scheduler_criterion: expected [train or valid, statistic], found {pair}"
        )
    return errors
