"""Whisper as it comes, on a tiny random model with Whisper's own kind of tokenizer."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from data_dir import write_data_dir

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.decoding.whisper_baseline import decode_baseline
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.whisper_files import save_whisper


@pytest.fixture
def model(tiny_whisper_model: Any, whisper_tokenizer_json: Path, tmp_path: Path) -> Path:
    settings = {"alignment_heads": [[0, 0]], "suppress_ids": [], "suppress_ids_begin": []}
    save_whisper(
        copy.deepcopy(tiny_whisper_model), whisper_tokenizer_json, settings, tmp_path / "model"
    )
    return tmp_path / "model"


def test_every_utterance_gets_a_line_and_finished_parts_are_kept(
    model: Path, tmp_path: Path
) -> None:
    data, output = write_data_dir(tmp_path / "data", [0.5, 1.0, 0.7]), tmp_path / "out"
    decode_baseline(str(data), str(output), str(model), batch_size=2)
    hypotheses = read_table(output / "text")
    assert hypotheses.keys() == read_table(data / "text").keys()
    assert read_json(output / "decode.json")["utterances"] == 3
    parts = {part: part.stat().st_mtime_ns for part in (output / "parts").iterdir()}
    assert len(parts) == 2
    (output / "text").unlink()
    decode_baseline(str(data), str(output), str(model), batch_size=2)
    assert {part: part.stat().st_mtime_ns for part in (output / "parts").iterdir()} == parts
    assert read_table(output / "text") == hypotheses


def test_an_unknown_language_is_named(model: Path, tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", [0.5], language="nv")
    with pytest.raises(UserError, match="does not know the language 'nv'"):
        decode_baseline(str(data), str(tmp_path / "out"), str(model))


def test_an_over_long_recording_is_named(model: Path, tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", [30.5])
    with pytest.raises(UserError, match=r"it_core_a_000.*lasts 30\.5 s, more than the 30 s"):
        decode_baseline(str(data), str(tmp_path / "out"), str(model))
    assert not (tmp_path / "out/text").exists()
