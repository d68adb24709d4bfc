"""Which options ESPnet has, of which kind, and what its optimisers and schedules take.

All is read from source texts: importing ESPnet or PyTorch takes seconds.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet_otreg.slm.espnet_classes import espnet_source

_TASK = "tasks/abs_task.py"


@dataclass(frozen=True)
class Option:
    """One option of ESPnet's training command.

    Args:
        kind: name of the function that makes a value of a word, such as ``int_or_none``.
        choices: the words that it takes; empty if it takes any, or if they stand elsewhere.
        several: whether it is a list.
    """

    kind: str
    choices: tuple[Any, ...] = ()
    several: bool = False


@functools.cache
def espnet_options() -> dict[str, Option]:
    """All options that are written out in ESPnet's task.

    >>> espnet_options()["batch_size"], espnet_options()["train_dtype"].choices
    (Option(kind='int', choices=(), several=False), ('float16', 'float32', 'float64'))
    """
    found = {}
    for call in ast.walk(espnet_source(_TASK)):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument":
            words = {keyword.arg: keyword.value for keyword in call.keywords}
            listed = words.get("choices")
            known = isinstance(listed, (ast.List, ast.Tuple))
            choices = ast.literal_eval(listed) if known and listed is not None else ()
            action = getattr(words.get("action"), "value", "")
            option = Option(
                getattr(words.get("type"), "id", ""),
                tuple(choices),
                "nargs" in words or action == "append",
            )
            for name in call.args:
                if isinstance(name, ast.Constant) and action != "store_true":
                    found[str(name.value).removeprefix("--")] = option
    return found


@functools.cache
def table(file: str, name: str) -> dict[str, ast.expr]:
    """The keys, in lower case, of a table that a module of ESPnet writes as ``name = dict(...)``.

    >>> {"sorted", "length"} <= table("samplers/build_batch_sampler.py", "BATCH_TYPES").keys()
    True
    """
    entries: dict[str, ast.expr] = {}
    for node in ast.walk(espnet_source(file)):
        calls: list[ast.expr] = []
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            calls = [node.value]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "update":
            calls = [node] if getattr(getattr(node.func, "value", None), "id", "") == name else []
        for call in calls:
            for word in getattr(call, "keywords", []):
                if word.arg:
                    entries[str(word.arg).lower()] = word.value
    return entries


@functools.cache
def signature(kind: str, name: str) -> dict[str, bool] | None:
    """What an optimiser (``kind`` "optim") or schedule ("scheduler") takes: name -> must be given.

    Returns:
        None where the source text does not say it.

    >>> signature("scheduler", "warmuplr")
    {'warmup_steps': False, 'last_epoch': False}
    >>> signature("optim", "adamw")["lr"]
    False
    """
    node = table(_TASK, f"{kind}_classes").get(name.lower())
    for cls in _classes(node) if node is not None else ():
        for function in cls.body:
            if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                return None if function.args.kwarg else _arguments(function.args)
    return None


def _arguments(args: ast.arguments) -> dict[str, bool]:
    """Without ``self`` and what is trained or scheduled."""
    names = [argument.arg for argument in args.args]
    must = len(names) - len(args.defaults)
    places = {name: n < must for n, name in enumerate(names)}
    only = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    places |= {argument.arg: default is None for argument, default in only}
    return dict(list(places.items())[2:])


def _classes(node: ast.expr) -> Iterator[ast.ClassDef]:
    """The definition of the class that ``torch.optim.AdamW`` or an imported name stands for."""
    path = ast.unparse(node).split(".")
    for imported in ast.walk(espnet_source(_TASK)):
        if isinstance(imported, ast.ImportFrom) and len(path) == 1:
            if path[0] in [alias.name for alias in imported.names]:
                path = [*str(imported.module).split("."), path[0]]
    spec = importlib.util.find_spec(path[0])
    if spec is None or not spec.submodule_search_locations:
        return
    place = Path(spec.submodule_search_locations[0]).joinpath(*path[1:-1])
    files = [place.with_suffix(".py")] if place.with_suffix(".py").is_file() else []
    for file in files or sorted(place.glob("*.py")):
        text = file.read_text(encoding="utf-8")
        if f"class {path[-1]}(" in text:
            for found in ast.parse(text).body:
                if isinstance(found, ast.ClassDef) and found.name == path[-1]:
                    yield found
