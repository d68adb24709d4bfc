"""Every function that the documents name: an argument that nobody means ends in a result or in
one sentence."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile import PACKAGE, VALUES, is_on_purpose, is_sentence

from espnet_otreg import ot
from espnet_otreg.data.audio import speech_samples
from espnet_otreg.data.format import format_data
from espnet_otreg.data.languages import canonical_language
from espnet_otreg.data.validate import validate_data
from espnet_otreg.decoding.modes import option
from espnet_otreg.inference.language_id import whisper_directory
from espnet_otreg.inference.speech_lm import SpeechLM
from espnet_otreg.objectives.batch import transcripts_of
from espnet_otreg.ranges import Range
from espnet_otreg.scoring import normalize as normalizer

ROOT = PACKAGE.parent
COST = torch.tensor([[[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]])
POINTS = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
PLAN = torch.full((1, 3, 2), 1 / 6)
MASK = torch.ones(1, 3, dtype=torch.bool)


def documented() -> set[str]:
    """Dotted names of this package's functions, and methods of its classes, in README and docs."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    # What the examples for whoever extends this import is called by their code, not by a user.
    pages.remove(ROOT / "docs/extending.md")
    found: set[str] = set()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`([a-z_]+)(?:\(.*?\))?`", text):
            if callable(getattr(ot, name, None)) and name in ot.__all__:
                found.add(f"espnet_otreg.ot.{name}")
        for name in re.findall(r"`(espnet_otreg(?:\.\w+)+)(?:\(.*?\))?`", text):
            found.add(name)
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("espnet_o"):
                    found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if inspect.isfunction(resolve(name))}


def resolve(name: str) -> Any:
    """What a dotted name means; None if nothing."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError:
        return getattr(resolve(module), attribute, None) if "." in module else None


def test_every_documented_function_is_audited() -> None:
    audited = {f"{call.__module__}.{call.__qualname__}" for call, _ in CALLS.values()}
    names = documented()
    assert "espnet_otreg.ot.sinkhorn" in names
    for name in names:
        function = resolve(name)
        assert f"{function.__module__}.{function.__qualname__}" in audited, name


def test_everything_that_transport_exports_is_audited() -> None:
    functions = {name for name in ot.__all__ if inspect.isfunction(getattr(ot, name))}
    assert functions <= CALLS.keys()


# Name -> the function, and arguments with which it works; {w} is the small world of conftest.py.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "transcripts_of": (
        transcripts_of,
        {"batch": {"text": MASK.long(), "text_lengths": torch.tensor([3])}, "name": "text"},
    ),
    "option": (option, {"default": 1, "help": "width", "allowed": Range(1, 9, whole=True)}),
    "barycentric_projection": (
        ot.barycentric_projection,
        {"coupling": PLAN, "points": POINTS[:, :2]},
    ),
    "cosine_cost": (ot.cosine_cost, {"speech": POINTS, "text": POINTS[:, :2]}),
    "euclidean_cost": (ot.euclidean_cost, {"source": POINTS, "target": POINTS[:, :2]}),
    "squared_euclidean_cost": (
        ot.squared_euclidean_cost,
        {"source": POINTS, "target": POINTS[:, :2]},
    ),
    "with_position": (
        ot.with_position,
        {"points": POINTS, "lengths": torch.tensor([3]), "weight": 0.5},
    ),
    "sinkhorn": (ot.sinkhorn, {"cost": COST, "source_mask": MASK}),
    "sparse_transport": (ot.sparse_transport, {"cost": COST, "source_mask": MASK}),
    "sinkhorn_divergence": (
        ot.sinkhorn_divergence,
        {"x": POINTS, "y": POINTS[:, :2], "x_mask": MASK},
    ),
    "monge_gap": (ot.monge_gap, {"points": POINTS, "images": POINTS, "mask": MASK}),
    "row_entropy": (ot.row_entropy, {"coupling": PLAN}),
    "row_impurity": (ot.row_impurity, {"coupling": PLAN}),
    "row_spread": (ot.row_spread, {"coupling": PLAN}),
    "hard_alignment": (ot.hard_alignment, {"coupling": PLAN}),
    "monotonic_alignment": (
        ot.monotonic_alignment,
        {"coupling": PLAN, "source_mask": MASK, "target_mask": MASK[:, :2]},
    ),
    "spans": (ot.spans, {"alignment": torch.tensor([0, 0, 1])}),
    "canonical_language": (canonical_language, {"name": "Italian"}),
    "speech_samples": (speech_samples, {"audio": "{w}/audio/en_a.wav"}),
    "whisper_directory": (whisper_directory, {"model_dir": "{w}/waveform"}),
    "format_data": (format_data, {"data_dir": "{w}/own", "output_dir": "formatted"}),
    "validate_data": (validate_data, {"directory": "{w}/own"}),
    "normalize": (normalizer.normalize, {"text": "Good morning!", "language": "en"}),
    "split_words": (normalizer.split_words, {"text": "good morning", "language": "en"}),
    "split_characters": (normalizer.split_characters, {"text": "good", "language": "en"}),
}


def faults_of(function: Callable[..., Any], good: Mapping[str, Any]) -> list[str]:
    """What is wrong with the ends of calls in which one argument is what nobody means."""
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ("self", "cls") or parameter.kind in (
            inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL,
        ):  # fmt: skip
            continue
        for kind, value in hostile(good.get(name)).items():
            if parameter.default is value:
                continue
            where = f"{name} {kind}"
            try:
                result = function(**{**good, name: value})
            except Exception as error:
                said = f"{type(error).__name__}: {error}"[:200]
                if not is_on_purpose(error, error.__traceback__):
                    found.append(f"{where}: {said}")
                elif not is_sentence(str(error)):
                    found.append(f"{where}: no sentence: {said!r}")
            else:
                if kind == "nan" and has_nan(result):
                    found.append(f"{where}: gives NaN")
                shows = isinstance(result, torch.Tensor) and not result.is_floating_point()
                if kind == "nan inside" and not shows and not has_nan(result):
                    found.append(f"{where}: the result does not show it")
    return found


def hostile(good: Any) -> dict[str, Any]:
    """The values of :data:`VALUES`; for a tensor also tensors that look like it."""
    values = dict(VALUES)
    if isinstance(good, torch.Tensor):
        values |= {
            "empty tensor": good.narrow(-1, 0, 0),
            "integers": good.long(),
            "array": np.asarray(good),
            "one dimension": good.flatten(),
            "other size": torch.cat([good, good], min(1, good.dim() - 1)),
        }
        if good.is_floating_point():
            values["nan inside"] = good.masked_fill(good == good.max(), math.nan)
            values["complex"] = good.to(torch.complex64)
    return values


def has_nan(result: Any) -> bool:
    if isinstance(result, torch.Tensor):
        return bool(torch.isnan(result).any())
    if isinstance(result, float):
        return math.isnan(result)
    if isinstance(result, (list, tuple)):
        return any(map(has_nan, result))
    return any(map(has_nan, vars(result).values())) if hasattr(result, "__dict__") else False


@pytest.mark.parametrize("name", sorted(CALLS))
def test_functions(name: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    function, arguments = CALLS[name]
    good = {
        key: value.format(w=world) if isinstance(value, str) else value
        for key, value in arguments.items()
    }
    function(**good)  # a call that works, so that it is the one argument that is answered
    assert "\n".join(faults_of(function, good)) == ""


def test_the_model_from_python(world: Path) -> None:
    directory = str(world / "waveform")
    assert "\n".join(faults_of(SpeechLM.from_pretrained, {"directory": directory})) == ""
    model = SpeechLM.from_pretrained(directory)
    good = {"audio": str(world / "audio/en_a.wav"), "language": "it", "mode": "ctc"}
    model.transcribe(**good)
    assert "\n".join(faults_of(model.transcribe, good)) == ""
