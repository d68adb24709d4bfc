"""The tool that says what is to blame for errors, on the tiny model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_errors_are_of_the_search_or_of_the_scores(
    tiny_slm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("errors_of", ROOT / "tools/search_errors.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    words = ["--model_dir", str(tiny_slm), "--data_dir", str(tiny_slm.parent / "features")]
    totals = []
    for beam in ("1", "8"):
        monkeypatch.setattr("sys.argv", ["search_errors.py", *words, "--joint_beam", beam])
        tool.main()
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
        assert len({row[0] for row in rows}) == len(rows) > 1
        for _, count, rate, oracle, search, scoring in rows:
            assert 0 <= float(oracle) <= float(rate)
            assert int(search) + int(scoring) <= int(count)
        totals.append(sum(int(row[4]) for row in rows))
    assert totals[1] <= totals[0]
