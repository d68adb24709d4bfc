"""A preset that says only in what it differs from another one: ``extends: PRESET``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.files import read_yaml

PRESET_FILE = "experiment.yaml"
EXTENDS = "extends"


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings as one: sections key by key, everything else from ``over``.

    A section that is empty in ``over`` changes nothing. Where ``over`` names another class
    (``optim``, ``encoder``), the options of the former one (``optim_conf``) are left out.

    >>> merged({"arms": ["sft"], "runs": {"sft": {"set": {"max_epoch": 3, "optim": "adamw"}}}},
    ...        {"arms": ["dpo"], "runs": {"sft": {"set": {"max_epoch": 1}}}})
    {'arms': ['dpo'], 'runs': {'sft': {'set': {'max_epoch': 1, 'optim': 'adamw'}}}}
    >>> merged({"optim": "adamw", "optim_conf": {"betas": [0.9, 0.98]}}, {"optim": "sgd"})
    {'optim': 'sgd'}
    """
    other_class = {f"{key}_conf" for key in over if key in under and under[key] != over[key]}
    result = {key: value for key, value in under.items() if key not in other_class}
    for key, value in over.items():
        before = result.get(key)
        if isinstance(before, Mapping) and (value is None or isinstance(value, Mapping)):
            result[key] = merged(before, value or {})
        else:
            result[key] = value
    return result


@dataclass(frozen=True)
class Layers:
    """The ``experiment.yaml`` of a preset and those of the presets that it extends.

    Attributes:
        files: of this preset first, then of the one that it extends, and so on.
        values: what they say together; this preset's own win.
    """

    files: tuple[Path, ...]
    values: Mapping[str, Any]

    @property
    def place(self) -> str:
        """The files by name, for messages."""
        own, *others = map(str, self.files)
        return f"{own} (extends {', '.join(others)})" if others else own

    def find(self, name: str) -> Path:
        """A file that the preset names: beside its own ``experiment.yaml``, else beside that of
        the preset that it extends. If there is none, where it should be."""
        paths = [file.with_name(name) for file in self.files]
        return next((path for path in paths if path.is_file()), paths[0])


def read_layers(conf_dir: str | Path) -> Layers:
    """Read a preset with all that it extends; these are directories beside its own.

    Raises:
        ConfigErrors: if it extends no preset, or in a circle.
        UserError: if a file is missing or is no YAML.
    """
    files = [Path(conf_dir) / PRESET_FILE]
    layers = [read_yaml(files[0])]
    way = [files[0].absolute().parent.name]
    while (name := layers[-1].get(EXTENDS)) is not None:
        here = files[-1].parent
        # A relative path is shown as it was given, unless it does not say what it is beside.
        beside = here.parent if here.name not in ("", "..") else here.absolute().parent
        known = {path.parent.name for path in beside.glob(f"*/{PRESET_FILE}")}
        if not isinstance(name, str) or name not in known:
            hint = did_you_mean(str(name), known - {way[-1]})
            raise ConfigErrors([f"{EXTENDS}: there is no preset {name!r}; {hint}"], str(files[-1]))
        way.append(name)
        if name in way[:-1]:
            shown = " -> ".join(way)
            raise ConfigErrors([f"{EXTENDS}: goes round in a circle: {shown}"], str(files[0]))
        files.append(beside / name / PRESET_FILE)
        layers.append(read_yaml(files[-1]))
    values: Mapping[str, Any] = {}
    for layer in reversed(layers):
        values = merged(values, layer)
    return Layers(tuple(files), values)
