"""ESPnet's own encoders and frontends by their usual names, without importing its tasks.

Importing ``espnet2.tasks.asr`` takes many seconds, and a configuration check or a decoder needs
only a name or one class of it; so the table of names is read from that module's source text.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
from pathlib import Path

from espnet_otreg.errors import UserError, missing_package


@functools.cache
def espnet_source(relative: str) -> ast.Module:
    """The syntax tree of a file of the installed ``espnet2``, which is not imported.

    Raises:
        UserError: if ESPnet is not installed.

    >>> isinstance(espnet_source("tasks/asr.py"), ast.Module)
    True
    """
    spec = importlib.util.find_spec("espnet2")
    if spec is None or not spec.submodule_search_locations:
        raise missing_package(ModuleNotFoundError("No module named 'espnet2'", name="espnet2"))
    path = Path(spec.submodule_search_locations[0]) / relative
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def _choices() -> dict[str, dict[str, str]]:
    """kind -> name -> ``"module:Class"``, from the ``ClassChoices`` of the ASR task."""
    tree = espnet_source("tasks/asr.py")
    module_of = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    choices: dict[str, dict[str, str]] = {}
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "ClassChoices"):
            continue
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        kind = call.args[0] if call.args else arguments["name"]
        classes = arguments.get("classes", call.args[1] if len(call.args) > 1 else None)
        if isinstance(kind, ast.Constant) and isinstance(classes, ast.Call):
            choices[str(kind.value)] = {
                str(keyword.arg): module_of[keyword.value.id]
                for keyword in classes.keywords
                if isinstance(keyword.value, ast.Name) and keyword.value.id in module_of
            }
    return choices


@functools.cache
def espnet_option_names() -> frozenset[str]:
    """The names of all training options of ESPnet's task, without the dashes.

    >>> {"max_epoch", "batch_type"} <= espnet_option_names()
    True
    """
    names: set[str] = set()
    for file in ("tasks/abs_task.py", "train/distributed_utils.py"):
        for call in ast.walk(espnet_source(file)):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument":
                names.update(
                    argument.value.removeprefix("--")
                    for argument in call.args
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                )
    # Optimisers and schedulers are numbered in a loop; one of each is what our task uses.
    return frozenset(names | {"optim", "optim_conf", "scheduler", "scheduler_conf"})


def espnet_class_names(kind: str) -> tuple[str, ...]:
    """The names that ESPnet's ASR task knows for ``kind`` (encoder, frontend, specaug, ...).

    >>> "conformer" in espnet_class_names("encoder"), "specaug" in espnet_class_names("specaug")
    (True, True)
    """
    return tuple(_choices().get(kind, {}))


def espnet_class(kind: str, name: str) -> type:
    """Import one class of ESPnet by the name that its YAML files use.

    Raises:
        UserError: if ESPnet does not know the name.

    >>> espnet_class("specaug", "specaug").__name__
    'SpecAug'
    """
    try:
        module, attribute = _choices()[kind][name].split(":")
    except KeyError:
        raise UserError(f"ESPnet has no {kind} named {name!r}", kind) from None
    loaded: type = getattr(importlib.import_module(module), attribute)
    return loaded
