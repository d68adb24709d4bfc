"""Mistakes in ESPnet's own options that ESPnet itself would answer with a traceback.

ESPnet is not imported, which takes many seconds: what it knows is read from its source text.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.slm.espnet_classes import espnet_source

_TABLES = {
    "optim": ("tasks/abs_task.py", "optim_classes"),
    "scheduler": ("tasks/abs_task.py", "scheduler_classes"),
    "batch_type": ("samplers/build_batch_sampler.py", "BATCH_TYPES"),
    "valid_batch_type": ("samplers/build_batch_sampler.py", "BATCH_TYPES"),
}
_MODES = ("min", "max", "auto")


@functools.cache
def _keys(file: str, table: str) -> frozenset[str]:
    """The keys of a table that a module writes as ``table = dict(...)``, in lower case."""
    names: set[str] = set()
    for node in ast.walk(espnet_source(file)):
        calls = []
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == table:
            calls = [node.value]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "update":
            calls = [node] if getattr(getattr(node.func, "value", None), "id", "") == table else []
        for call in calls:
            names |= {str(word.arg).lower() for word in getattr(call, "keywords", []) if word.arg}
    return frozenset(names)


def option_errors(values: Mapping[str, Any]) -> list[str]:
    """Every mistake in the optimiser, schedule, batches and criteria of a configuration.

    >>> option_errors({"optim": "adamww", "optim_conf": {"lr": "3e-4"}})[0]
    "optim: ESPnet has no 'adamww'; did you mean 'adamw'?"
    >>> option_errors({"optim": "adamw", "optim_conf": {"lr": "3e-4"}})
    ["optim_conf.lr: '3e-4' is text for YAML; write 0.0003 or 3.0e-4"]
    """
    errors = []
    for option, table in _TABLES.items():
        name = values.get(option)
        if name is not None and str(name).lower() not in _keys(*table) | {"none"}:
            hint = did_you_mean(str(name), _keys(*table))
            errors.append(f"{option}: ESPnet has no '{name}'; {hint}")
    for section in ("optim_conf", "scheduler_conf"):
        conf = values.get(section) or {}
        if not isinstance(conf, Mapping):
            errors.append(f"{section}: expected keys and values, found {conf!r}")
            continue
        for key, value in conf.items():
            if isinstance(value, str) and _is_number(value):
                number = float(value)
                mantissa, _, exponent = value.lower().partition("e")
                better = f"{float(mantissa)}e{exponent}" if exponent else f"{number}"
                errors.append(
                    f"{section}.{key}: '{value}' is text for YAML; write {number} or {better}"
                )
    criteria = values.get("best_model_criterion") or []
    for entry in criteria if isinstance(criteria, list | tuple) else [criteria]:
        if not (isinstance(entry, list | tuple) and len(entry) == 3 and entry[2] in _MODES):
            errors.append(
                f"best_model_criterion: expected [train or valid, statistic, min or max], "
                f"found {entry}"
            )
    return errors


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
