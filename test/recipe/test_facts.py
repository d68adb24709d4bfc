"""Settings from command lines and YAML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from espnet_otreg.errors import UserError
from espnet_otreg.recipe.facts import input_facts, read_settings, require_equal


def test_arms_may_differ_in_regularizers_only(tmp_path: Path) -> None:
    control, otreg = tmp_path / "control.yaml", tmp_path / "otreg.yaml"
    control.write_text("seed: 1\nregularizers: []\n")
    otreg.write_text("seed: 1\nregularizers:\n- otreg: {weight: 0.3}\n")
    require_equal(control, otreg, "regularizers")
    otreg.write_text("seed: 2\nregularizers: []\nbatch_size: 4\n")
    with pytest.raises(UserError, match=r"otreg.yaml: differs from .* in batch_size, seed; a fair"):
        require_equal(control, otreg, "regularizers")


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
    facts = input_facts([str(path)], {})
    facts[str(path)]["sha256"] = "as recorded"
    assert input_facts([str(path)], facts)[str(path)]["sha256"] == "as recorded"
    path.write_text("CONTENT!")
    assert len(input_facts([str(path)], facts)[str(path)]["sha256"]) == 64
