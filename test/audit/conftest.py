"""The small world in which the audit's commands do real work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_world import make_small_world


@pytest.fixture(scope="session")
def world(
    tiny_whisper_model: Any, whisper_tokenizer_json: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """See :func:`small_world.make_small_world`."""
    root = tmp_path_factory.mktemp("world")
    return make_small_world(root, tiny_whisper_model, whisper_tokenizer_json)
