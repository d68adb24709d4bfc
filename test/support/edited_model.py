"""A copy of a model's directory with other weights or settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

State = dict[str, Any]


def edited_model(
    source: Path, target: Path, edit: Callable[[State], object] | None = None, **settings: Any
) -> Path:
    """Copy ``source``, let ``edit`` change its tensors, and change its ``config.json``."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    if edit is not None:
        state = load_file(source / "model.safetensors")
        edit(state)
        tensors = {name: value.contiguous() for name, value in state.items()}
        save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    if settings:
        path = target / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return target
