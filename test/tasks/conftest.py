"""Everything that a tiny training reads."""

from __future__ import annotations

import pytest
from tiny_training import TinyTraining, make_tiny_training


@pytest.fixture(scope="session")
def tiny_training(tmp_path_factory: pytest.TempPathFactory) -> TinyTraining:
    """Everything that a training reads, made once."""
    return make_tiny_training(tmp_path_factory.mktemp("training"))
