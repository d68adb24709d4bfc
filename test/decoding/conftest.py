"""A trained tiny model, shared by all tests of decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny_slm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training directory; ``features`` and ``llm`` lie beside it."""
    from tiny_slm import train_tiny_slm

    return train_tiny_slm(tmp_path_factory.mktemp("slm"))


@pytest.fixture(scope="session")
def tiny_model(tiny_slm: Path) -> Any:
    """The same model, loaded."""
    from espnet_otreg.slm.build import load_model

    return load_model(tiny_slm)
