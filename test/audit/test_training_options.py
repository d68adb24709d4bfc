"""Every option of a training, from YAML: what nobody means ends in one sentence or is fine."""

from __future__ import annotations

from pathlib import Path

import pytest
from option_audit import faults, groups

from espnet_otreg.regularizers import parse_regularizers


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parse_regularizers([])  # registers ours
    path = tmp_path_factory.mktemp("classes") / "classes.json"
    path.write_text("{}")
    return path


def test_all_options_of_a_section_together(classes: Path, tmp_path: Path) -> None:
    # The nightly run takes them one by one. A value of the wrong type hides floats that are NaN.
    found = []
    for name, group in groups(classes).items():
        rest = [key for key in group.names if key not in group.numbers]
        for fault in faults(group, [sorted(group.numbers), rest], tmp_path / "train.yaml"):
            found.append(f"{name}: {fault}")
    assert "\n".join(found) == ""
