"""The benchmark of compression on a tiny model: what it prints is what compression keeps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from espnet_otreg.report.utterances import read_utterances, stream_speech
from espnet_otreg.slm.compression import compress
from espnet_otreg.slm.config import CompressionConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings

ROOT = Path(__file__).resolve().parents[2]


def test_one_line_for_each_way_with_the_share_it_keeps(
    tiny_slm: Path,
    tiny_model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for place, target in (("exp/mini/run", tiny_slm), ("dump/features/tiny/test", None)):
        link = tmp_path / place
        link.parent.mkdir(parents=True)
        link.symlink_to(target or tiny_slm.parent / "features")
    spec = importlib.util.spec_from_file_location(
        "benchmark", ROOT / "tools/benchmark_compression.py"
    )
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.chdir(Path.cwd())  # so that the directory is put back
    threads = torch.get_num_threads()
    options = ["--model", str(tmp_path / "exp/mini/run"), "--rounds", "1", "--batch_size", "4"]
    monkeypatch.setattr("sys.argv", ["benchmark_compression.py", *options])
    tool.main()
    torch.set_num_threads(threads)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    rows = {cells[1].strip(): cells[2:] for cells in (line.split("|") for line in lines[1:])}
    assert list(rows) == list(tool.WAYS) and float(rows["none"][0]) == 100

    utterances = read_utterances(tiny_slm.parent / "features", tiny_model)
    kept = total = 0
    for _, values in stream_speech(tiny_model, utterances):  # one at a time: no padding
        mask = torch.ones(1, len(values), dtype=torch.bool)
        speech = SpeechEmbeddings(values[None], mask, 0.0)
        way = CompressionConfig("ctc")
        kept += len(compress(speech, way, tiny_model.readout, tiny_model.anchor()).values[0])
        total += len(values)
    assert 0 < kept < total and float(rows["ctc"][0]) == round(100 * kept / total, 1)
    assert all(float(cell) > 0 for row in rows.values() for cell in row[:-1])
