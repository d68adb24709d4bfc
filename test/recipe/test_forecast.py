"""What a run took is read from what it leaves, and tells the next one what lies ahead."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from espnet_otreg.data.sources import SOURCES
from espnet_otreg.errors import UserError
from espnet_otreg.recipe.forecast import fetch_table, forecast, to_fetch
from espnet_otreg.recipe.machine import Machine
from espnet_otreg.recipe.past_run import read_fetches, read_steps
from espnet_otreg.recipe.steps import Declarations, parse_declarations
from espnet_otreg.recipe.times import Fetch, StepTime, Times, load_times, stage_table

UTILS = Path(__file__).resolve().parents[2] / "egs2/TEMPLATE/slm1/utils"
EXP = "exp/tiny"
FETCHING = "echo 'drascula: 26.3 MB fetched in 0.3 s'; echo a >data/text"
TRAINING = [
    sys.executable,
    "-c",
    "import pathlib, scipy.signal; pathlib.Path('exp/tiny/a_s1/m').write_text('a')",
]


def declarations() -> bytes:
    """Data that are fetched, two sets that one command makes, a training of one seed."""
    records = [
        ["wrapper", "train_cmd", "run.pl"],
        ["wrapper", "cuda_cmd", "run.pl"],
        ["stage", "1", "data"],
        ["step", "data", "--lock", "downloads", "--output", "data"],
        ["launch", "train_cmd", "data/log", "bash", "-c", FETCHING],
        ["stage", "2", "features"],
        ["step", "dump/a", "--upstream", "data", "--output", "dump/a"],
        ["step", "dump/b", "--upstream", "data", "--output", "dump/b"],
        [
            "launch",
            "train_cmd",
            "dump/log",
            "bash",
            "-c",
            "sleep 1; echo a | tee dump/a/x dump/b/x",
        ],
        ["stage", "3", "pretrain"],
        [
            "model_step",
            f"{EXP}/a_s1",
            "--upstream",
            "dump/a",
            "dump/b",
            "--output",
            f"{EXP}/a_s1/m",
        ],
        ["launch_training", f"{EXP}/a_s1/log", *TRAINING],
        ["results"],
        ["end"],
    ]
    words = [word for record in records for word in (str(len(record)), *record)]
    return "".join(f"{word}\0" for word in words).encode()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """These stages have run, and imports were timed."""
    directory = tmp_path_factory.mktemp("recipe")
    path = f"{UTILS}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    words = ["--exp", EXP, "--stages", "data", "features", "pretrain", "--go_on", "./run.sh"]
    done = subprocess.run(
        [sys.executable, "-m", "espnet_otreg.bin.stage", "run", *words],
        input=declarations(), cwd=directory, capture_output=True,
        env={**os.environ, "PATH": path, "PYTHONPROFILEIMPORTTIME": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return directory


def declared() -> Declarations:
    return parse_declarations(declarations())


def test_steps_share_the_time_of_their_command(run: Path) -> None:
    steps = {step.step: step for step in read_steps(run, EXP)}
    assert sorted(steps) == ["EXP/a_s1", "data", "dump/a", "dump/b"]
    assert steps["dump/a"].seconds == steps["dump/b"].seconds
    assert 1.0 <= steps["dump/a"].seconds + steps["dump/b"].seconds < 30.0
    assert steps["data"].of_these == {"downloading": 0.3}
    assert 0 < steps["EXP/a_s1"].of_these["starting"] < 10.0
    with pytest.raises(UserError, match="nothing has run here"):
        read_steps(run, "exp/other")


def test_a_run_begins_with_what_lies_ahead(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [dataclasses.replace(step, of_these={}) for step in read_steps(run, EXP)]
    steps[-1] = dataclasses.replace(steps[-1], seconds=600.0)
    machine = Machine("another", 2.0, (5e4, 6e4))  # faster than any
    times = Times(machine, {"installed_seconds": 60.0}, (Fetch("a", 12.3, "MIT"),), tuple(steps))
    times.save(tmp_path / "times.json")
    assert load_times(tmp_path / "times.json") == times
    monkeypatch.chdir(tmp_path)
    assert forecast(declared(), EXP, tmp_path / "none.json") is None
    told = forecast(declared(), EXP, tmp_path / "times.json")
    assert told is not None
    first, *lines = told.splitlines()
    assert first == "To be fetched, 12 MB:" and "a     MIT      12" in lines
    assert [line.split()[0] for line in lines[3:7]] == ["stage", "data", "features", "pretrain"]
    [all_of_it] = [line for line in lines if line.startswith("in all")]
    assert re.search(r"\d (min|h)", all_of_it)
    monkeypatch.chdir(run)
    assert forecast(declared(), EXP, tmp_path / "times.json") is None  # all is there
    (tmp_path / "times.json").write_text('{"format": "otreg-times-0"}')
    with pytest.raises(UserError, match="no times of a recipe"):
        forecast(declared(), EXP, tmp_path / "times.json")


def test_a_step_that_was_not_recorded_takes_what_its_stage_took() -> None:
    steps = (
        StepTime("pretrain", "EXP/a_s1", 100.0, {"starting": 8.0}),
        StepTime("pretrain", "EXP/b_s1", 300.0, {"starting": 4.0}),
    )
    times = Times(Machine("none", 1.0, (1.0, 1.0)), {"installed_seconds": 5.0}, (), steps)
    assert times.like("pretrain", "exp/x/b_s1", "exp/x") == steps[1]
    other = times.like("pretrain", "exp/x/a_s2", "exp/x")
    assert other == StepTime("pretrain", "EXP/a_s2", 200.0, {"starting": 6.0})
    assert times.like("decode", "exp/x/a_s1/decode", "exp/x") is None
    assert stage_table(times, ["pretrain", "decode"]).lines == (
        ("installation", "5", "", ""),
        ("pretrain", "400", "12", "0"),
        ("decode", "0", "0", "0"),
        ("all", "405", "12", "0"),
    )


def test_what_is_there_and_what_the_user_has_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = tmp_path / "downloads/archives"
    archives.mkdir(parents=True)
    for package in SOURCES["drascula"].packages:
        (archives / f"{package.name}_1_all.deb").write_bytes(b"0" * 1_500_000)
    assert read_fetches(tmp_path / "downloads") == ()  # an archive that was not unpacked
    (tmp_path / "downloads/drascula").mkdir()
    [fetch] = read_fetches(tmp_path / "downloads")
    assert (fetch.name, fetch.megabytes) == ("drascula", 1.5)
    assert fetch.licence == SOURCES["drascula"].licence
    works = [work for stage in declared().stages for work in stage.works]
    monkeypatch.chdir(tmp_path)
    other = Fetch("tuxpaint", 0.6, fetch.licence)
    assert to_fetch(works, [fetch, other]) == [other]
    table = fetch_table([fetch, other])
    assert table is not None
    assert table.lines == (("drascula tuxpaint", fetch.licence, "2"),)
    given = works[0].commands[0]
    words = (*given.words, "--data_root", "copies")
    works[0].commands[0] = dataclasses.replace(given, words=words)
    assert to_fetch(works, [other]) == []
