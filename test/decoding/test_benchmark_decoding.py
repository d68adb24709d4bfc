"""The benchmark of decoding on a tiny model: equal texts, and ratios of its own times."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_one_line_for_each_batch_size_with_the_same_texts(
    tiny_slm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    features = tiny_slm.parent / "features"
    for place, target in (("exp/mini/run", tiny_slm), ("dump/features/tiny/test", features)):
        link = tmp_path / place
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    spec = importlib.util.spec_from_file_location("decoding", ROOT / "tools/benchmark_decoding.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.chdir(Path.cwd())  # so that the directory is put back
    threads = torch.get_num_threads()
    options = ["--model", str(tmp_path / "exp/mini/run"), "--rounds", "1", "--batch_sizes", "4"]
    monkeypatch.setattr(
        "sys.argv", ["benchmark_decoding.py", *options, "--num_beams", "2", "--threads", "1"]
    )
    tool.main()
    torch.set_num_threads(threads)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    count = len(read_table(features / "feats.scp"))
    assert [row[0] for row in rows] == ["1", "4"]
    assert all(row[4] == f"{count} of {count}" for row in rows) and rows[0][3] == "1.00"
    for row in rows:
        assert float(row[2]) == pytest.approx(count / float(row[1]), rel=0.3)
    for option in ("--rounds", "--utterances"):
        monkeypatch.setattr("sys.argv", ["benchmark_decoding.py", option, "0"])
        with pytest.raises(UserError, match="expected at least 1"):
            tool.main()
