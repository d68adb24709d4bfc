"""Every command, every option: a value that nobody means ends in a result or in one sentence."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from command_audit import COMMANDS, ELSEWHERE, ending, faults_of
from hostile import NO_NUMBERS, PACKAGE, WORDS

# The nightly run takes all words.
NUMBERS, TEXTS = (*NO_NUMBERS, "negative", "huge"), ("empty", "unicode")


def test_every_command_is_audited() -> None:
    every = {path.stem for path in (PACKAGE / "bin").glob("[!_]*.py")}
    assert every == COMMANDS.keys() | ELSEWHERE


def test_the_command_lines_work(world: Path, tmp_path: Path) -> None:
    # Otherwise the audit would only see the first sentence of each command.
    without_data = {
        "collect_text", "combine_features", "fetch_archives", "prepare_corpus", "prepare_sets",
    }  # fmt: skip
    ends = {
        command: ending(command, line.format(w=world, out=tmp_path / command).split())
        for command, line in COMMANDS.items()
        if command not in without_data
    }
    assert {command: end for command, end in ends.items() if end[0] != "result"} == {}


# The driver's own command has verbs; {v} is what nobody means.
STAGE = (
    "begin|{v}|--stage|s|--|true",
    "begin|step|--stage|{v}|--|true",
    "begin|step|--stage|s|--set|{v}|--|true",
    "begin|step|--stage|s|--input|{v}|--|true",
    "begin|step|--stage|s|--upstream|{v}|--|true",
    "begin|step|--stage|s|--output|{v}|--|true",
    "begin|step|--stage|s|--|{v}",
    "finish|{v}|--seconds|1",
    "finish|step|--seconds|{v}",
    "compare|{v}|{w}/llm.yaml|--but|x",
    "compare|{w}/llm.yaml|{w}/augment.yaml|--but|{v}",
    "domains|--in_domain|{v}|--data_dir|{w}/test",
    "domains|--in_domain|own|--data_dir|{v}",
)


@pytest.mark.parametrize("record", ["{}", "", "[1]", '{"inputs": null}'])
def test_the_ledger(
    record: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for line in STAGE:
        for name, value in WORDS.items():
            monkeypatch.setattr("sys.stdin", io.StringIO(record))
            words = [word.format(v=value, w=world) for word in line.split("|")]
            kind, said = ending("stage", words)
            if kind == "crash" or (name == "nan" and "--seconds|{v}" in line and kind == "result"):
                found.append(f"{line} {name}: {said[:200]}")
    assert "\n".join(found) == ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_options(
    command: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = faults_of(command, world, tmp_path, lambda number: NUMBERS if number else TEXTS)
    assert "\n".join(found) == ""
