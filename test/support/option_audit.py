"""Give options of a training, in YAML, a value that nobody means, and see what the check says."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hostile import VALUES, is_on_purpose, is_sentence

from espnet_otreg.regularizers.registry import REGULARIZERS
from espnet_otreg.slm.config import SECTIONS
from espnet_otreg.slm.encoders.registry import ENCODERS
from espnet_otreg.slm.espnet_signatures import espnet_options
from espnet_otreg.slm.projector_config import PROJECTORS
from espnet_otreg.tasks.train_config import OWN_OPTIONS, check_train_arguments

IN_YAML = {name: value for name, value in VALUES.items() if name not in ("object", "bytes")}
_ELSEWHERE = {"config", "output_dir"}  # of the command line
_NUMBERS = ("float", "float_or_none")


@dataclasses.dataclass(frozen=True)
class Group:
    """Keys of one mapping in a configuration.

    Attributes:
        around: the whole configuration.
        place: keys and positions that lead to the mapping.
        names: its keys.
        numbers: those that are floats, for which NaN must be refused.
    """

    around: dict[str, Any]
    place: tuple[str | int, ...]
    names: tuple[str, ...]
    numbers: frozenset[str]


def _fields(cls: Any) -> tuple[tuple[str, ...], frozenset[str]]:
    fields = dataclasses.fields(cls)
    numbers = {field.name for field in fields if str(field.type).startswith("float")}
    return tuple(field.name for field in fields), frozenset(numbers)


def groups(classes: Path) -> dict[str, Group]:
    """All options by what they belong to.

    Args:
        classes: a file for ``readout_conf.classes``, which some regularizers need.
    """
    base: dict[str, Any] = {"llm_conf": {"model": "org/name"}}
    options = espnet_options()
    names = tuple(sorted((options.keys() | OWN_OPTIONS) - _ELSEWHERE))
    numbers = frozenset(name for name, option in options.items() if option.kind in _NUMBERS)
    found = {"options": Group(base, (), names, numbers & set(names))}
    for section, cls in SECTIONS.items():
        found[section] = Group({section: {}, **base}, (section,), *_fields(cls))
    needed = {"model": "org/name", "first": 1}
    for name, cls in ENCODERS.items():
        stated = {field.name for field in dataclasses.fields(cls)} & needed.keys()
        conf = {} if name == "precomputed" else {key: needed[key] for key in stated}
        around = {**base, "encoder": name, "encoder_conf": conf}
        found[name] = Group(around, ("encoder_conf",), *_fields(cls))
    for name, cls in PROJECTORS.items():
        around = {**base, "projector": name, "projector_conf": {}}
        found[name] = Group(around, ("projector_conf",), *_fields(cls))
    for name, config in REGULARIZERS.classes().items():
        around = {**base, "readout_conf": {"classes": str(classes)}, "regularizers": [{name: {}}]}
        found[f"regularizer {name}"] = Group(around, ("regularizers", 0, name), *_fields(config))
    return found


def faults(group: Group, together: Sequence[Sequence[str]], path: Path) -> Iterator[str]:
    """What is wrong with the ends of configurations in which some keys have bad values.

    Args:
        group: the mapping that holds the keys.
        together: keys that get the bad value in one configuration.
        path: where the YAML file goes.
    """
    for names in together:
        for kind, value in IN_YAML.items():
            values = copy.deepcopy(group.around)
            inner: Any = values
            for key in group.place:
                inner = inner[key]
            inner.update(dict.fromkeys(names, value))
            path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
            said = ""
            try:
                check_train_arguments(["--config", str(path)], data=False)
            except Exception as error:
                said = str(error)
                if not is_on_purpose(error, error.__traceback__) or not is_sentence(said):
                    yield f"{' '.join(names)[:80]} {kind}: {type(error).__name__}: {said[:200]}"
                    continue
            silent = [name for name in names if name in group.numbers and name not in said]
            if kind in ("nan", "unicode", "mapping") and silent:
                yield f"{kind} accepted: {' '.join(silent)}"
