"""Settings from command lines and YAML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from espnet_otreg.errors import UserError
from espnet_otreg.recipe.facts import file_facts, read_settings


def test_bad_yaml_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: [1")
    with pytest.raises(UserError, match="not valid YAML"):
        read_settings(path)
    path.write_text("- 1")
    with pytest.raises(UserError, match="expected keys and values"):
        read_settings(path)


def test_known_inputs_are_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("content")
    facts = file_facts([str(path)], {})
    facts[str(path)]["sha256"] = "as recorded"
    assert file_facts([str(path)], facts)[str(path)]["sha256"] == "as recorded"
    path.write_text("CONTENT!")
    assert len(file_facts([str(path)], facts)[str(path)]["sha256"]) == 64
