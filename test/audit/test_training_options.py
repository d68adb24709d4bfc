"""Every option of a training, from YAML: a value that nobody means ends in one sentence that names
the option, or is fine; never in a traceback."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile import VALUES, is_on_purpose, is_sentence

from espnet_otreg.regularizers import registry
from espnet_otreg.slm.config import ENCODERS, SECTIONS
from espnet_otreg.slm.espnet_signatures import espnet_options
from espnet_otreg.slm.projector_config import PROJECTORS
from espnet_otreg.slm.train_config import OWN_OPTIONS, check_train_arguments

BASE: dict[str, Any] = {"llm_conf": {"model": "org/name"}}
IN_YAML = {name: value for name, value in VALUES.items() if name not in ("object", "bytes")}
ELSEWHERE = {"config", "output_dir"}  # of the command line


def ending(values: dict[str, Any], path: Path) -> str | None:
    """What the check says of a configuration; None if nothing.

    Raises:
        AssertionError: if it says it by a traceback.
    """
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    try:
        check_train_arguments(["--config", str(path)], data=False)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        assert is_on_purpose(error, error.__traceback__), said
        assert is_sentence(str(error)), said
        return str(error)
    return None


def faults(keys: dict[tuple[str, ...], dict[str, Any]], path: Path) -> Iterator[str]:
    """What is wrong with the ends of configurations, each with one value that nobody means.

    Args:
        keys: the place of a value -> the configuration around it.
        path: where the YAML file goes.
    """
    for place, around in keys.items():
        for kind, value in IN_YAML.items():
            values = yaml.safe_load(yaml.safe_dump(around))
            inner = values
            for key in place[:-1]:
                inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
            inner[place[-1]] = value
            where = f"{'.'.join(place)} {kind}"
            try:
                said = ending(values, path)
            except AssertionError as error:
                yield f"{where}: {str(error)[:200]}"
                continue
            if kind == "nan" and said is None:
                yield f"{where}: accepted"
            if said is not None and place[-1] not in said:
                yield f"{where}: the sentence does not name it: {said[:200]}"


def test_options_of_espnet_and_sections(tmp_path: Path) -> None:
    names = (espnet_options().keys() | OWN_OPTIONS) - ELSEWHERE
    keys = {(name,): BASE for name in sorted(names)}
    assert "\n".join(faults(keys, tmp_path / "train.yaml")) == ""


@pytest.mark.parametrize("part", ["sections", "encoders", "projectors", "regularizers"])
def test_keys_of_our_configurations(part: str, tmp_path: Path) -> None:
    keys: dict[tuple[str, ...], dict[str, Any]] = {}
    if part == "sections":
        for section, cls in SECTIONS.items():
            keys |= {(section, field.name): BASE for field in dataclasses.fields(cls)}
    if part == "encoders":
        for name, cls in ENCODERS.items():
            around = {**BASE, "encoder": name, "encoder_conf": {"model": "org/name"}}
            if name == "precomputed":
                around["encoder_conf"] = {}
            keys |= {("encoder_conf", field.name): around for field in dataclasses.fields(cls)}
    if part == "projectors":
        for name, cls in PROJECTORS.items():
            around = {**BASE, "projector": name}
            keys |= {("projector_conf", field.name): around for field in dataclasses.fields(cls)}
    if part == "regularizers":
        for name, cls in registry._registered.items():
            around = {**BASE, "readout_conf": {"classes": "classes.json"}}
            around["regularizers"] = [{name: {}}]
            keys |= {("regularizers", "0", name, f.name): around for f in dataclasses.fields(cls)}
    assert keys
    assert "\n".join(faults(keys, tmp_path / "train.yaml")) == ""


def test_the_base_is_in_order(tmp_path: Path) -> None:
    assert ending(BASE, tmp_path / "train.yaml") is None
    assert ending({**BASE, "batch_size": math.nan}, tmp_path / "train.yaml") is not None
