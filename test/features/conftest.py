"""A small data directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_dir import write_data_dir


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return write_data_dir(tmp_path / "data", [0.3, 1.0, 0.05, 2.1, 0.7])
