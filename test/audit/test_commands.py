"""Every command, every option: a value that nobody means ends in a result or in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_audit import COMMANDS, ELSEWHERE, ending, faults_of
from hostile import NO_NUMBERS, PACKAGE

# The nightly run takes all words.
NUMBERS, TEXTS = (*NO_NUMBERS, "negative", "huge"), ("empty", "unicode")


def test_every_command_is_audited() -> None:
    every = {path.stem for path in (PACKAGE / "bin").glob("[!_]*.py")}
    assert every == COMMANDS.keys() | ELSEWHERE.keys()


def test_the_command_lines_work(world: Path, tmp_path: Path) -> None:
    # Otherwise the audit would only see the first sentence of each command.
    without_data = {"collect_text", "fetch_archives", "prepare_corpus", "prepare_sets"}
    ends = {
        command: ending(command, line.format(w=world, out=tmp_path / command).split())
        for command, line in COMMANDS.items()
        if command not in without_data
    }
    assert {command: end for command, end in ends.items() if end[0] != "result"} == {}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_options(
    command: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = faults_of(command, world, tmp_path, lambda number: NUMBERS if number else TEXTS)
    assert "\n".join(found) == ""
