"""Every option of every command with every word that nobody means, the slow ones too."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_audit import COMMANDS, faults_of
from hostile import WORDS
from option_audit import faults, groups

from espnet_otreg.regularizers import parse_regularizers


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_options(
    command: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "\n".join(faults_of(command, world, tmp_path, lambda number: list(WORDS))) == ""


def test_options_of_a_training_one_by_one(tmp_path: Path) -> None:
    parse_regularizers([])  # registers ours
    (tmp_path / "classes.json").write_text("{}")
    found = [
        f"{name}: {fault}"
        for name, group in groups(tmp_path / "classes.json").items()
        for fault in faults(group, [[key] for key in group.names], tmp_path / "train.yaml")
    ]
    assert "\n".join(found) == ""
