"""The log of a search is made from what trainings and scores have left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from espnet_otreg.bin import search_log
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.report.search_log import page, read_trial, read_trials, write_trial

# As ESPnet's trainer logs it, in two calls: the second one goes on after the first epoch.
LOG = """# python -m espnet_otreg.bin.slm_train --config a.yaml
[vm] 2026-11-29 17:00:00,493 (trainer:334) INFO: 1/3epoch started
[vm] 2026-11-29 17:30:00,393 (trainer:392) INFO: 1epoch results: [train] loss=9.0, [valid] a=1, \
loss=5.000, time=1 second
[vm] 2026-11-29 17:30:00,493 (trainer:322) INFO: 2/3epoch started. Estimated time to finish: 1 s
[vm] 2026-11-29 19:00:00,493 (trainer:334) INFO: 2/3epoch started
[vm] 2026-11-29 19:15:00,393 (trainer:392) INFO: 2epoch results: [train] loss=8.0, [valid] a=1, \
loss=4.250, time=1 second
"""


@pytest.fixture
def directory(scored: Path, tmp_path: Path) -> Path:
    """Trainings of the experiment with logs, linked."""
    for name in ("control_s1", "otreg_s1"):
        (tmp_path / name).mkdir()
        for path in (scored / name).iterdir():
            (tmp_path / name / path.name).symlink_to(path)
        (tmp_path / name / "train.log").write_text(LOG)
    return tmp_path


def test_a_page_with_the_best_first(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = directory / "search"
    for name, note in (("control", "the reference"), ("otreg", "one loss more")):
        words = ["--run", str(directory / f"{name}_s1"), "--name", name, "--note", note]
        words += ["--output", str(search), "--planned", "0.5"]
        words += ["--reference", str(directory / "control_s1")]
        monkeypatch.setattr(sys, "argv", ["search_log", *words])
        search_log.main()
    control, otreg = read_trials(search)
    assert otreg.differs == {
        "regularizers": "[] -> not set", "regularizers.0.otreg.weight": "not set -> 0.3"
    }  # fmt: skip
    assert control.differs == {} and control.spent_hours == pytest.approx(0.75)
    assert otreg.curve == ((1, 5.0), (2, 4.25))
    score = read_json(directory / "otreg_s1/llm/test/scoring/score.json")
    rates = [entry["wer"]["rate"] for entry in score["sets"]]
    assert otreg.rates["llm"]["in_domain"][0] == pytest.approx(sum(rates) / len(rates), abs=0.01)
    assert otreg.rates["llm"].keys() == {"dev", "in_domain", "out_of_domain", "synthetic"}
    text = (search / "README.md").read_text()
    assert text == page([control, otreg])
    assert text.index("[otreg](#otreg)") < text.index("[control](#control)")  # the better one
    assert "2 trainings, 1.5 hours" in text and "0.50 / 0.75" in text
    assert "- `regularizers.0.otreg.weight`: not set -> 0.3" in text
    assert "after epoch: 1: 5.000, 2: 4.250." in text
    assert "python -m espnet_otreg.bin.slm_train --config a.yaml\n" in text


def test_mistakes(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no log of a training"):
        read_trial(directory, "a", "", None, None)
    with pytest.raises(UserError, match="a name has small letters"):
        read_trial(directory / "otreg_s1", "../a", "", None, None)
    trial = read_trial(directory / "otreg_s1", "a", "", None, None)
    (tmp_path / "log").mkdir()
    write_trial(trial, tmp_path / "log")
    (tmp_path / "log/b.json").write_text('{"curve": []}')
    with pytest.raises(UserError, match=r"b\.json: no entry of a search"):
        read_trials(tmp_path / "log")
