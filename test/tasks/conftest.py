"""Everything that a tiny training reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from bad_input import ForkServer
from tiny_training import TinyTraining, make_tiny_training


@pytest.fixture(scope="session")
def tiny_training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyTraining]:
    """Everything that a training reads, made once."""
    made = make_tiny_training(tmp_path_factory.mktemp("training"))
    server = ForkServer(tmp_path_factory.mktemp("server"))
    yield dataclasses.replace(made, server=server)
    server.stop()
