"""Recordings whose text only some recognisers hear are kept or not by one rule, and stay out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from espnet_otreg.data.audio import write_wav
from espnet_otreg.data.kaldi_dir import Utterance, read_data_dir, write_data_dir
from espnet_otreg.data.keep import keep_listed
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

TOOL = Path(__file__).resolve().parents[2] / "tools/confirmed_utterances.py"
TEXTS = {
    "a": ("premere uno", "Premere uno.", "premere uno"),
    "b": ("premere due", "Premere 2!", "prema due"),  # one is good, the other near
    "c": ("premere tre", "premere tre", "il cane dorme"),  # one hears other words
    "d": ("premere sei", "prema se", "prem sei"),  # none is good enough
}


def test_two_recognisers_confirm(tmp_path: Path) -> None:
    data = tmp_path / "data"
    wav = tmp_path / "a.wav"
    write_wav(wav, np.zeros(8000, np.float32), 16000)
    write_data_dir(
        data, [Utterance(k, str(wav), t, t, "it", "it_s", "x") for k, (t, _, _) in TEXTS.items()]
    )
    words = [sys.executable, str(TOOL), "--data_dir", str(data), "--hypothesis"]
    for number, name in ((1, "whisper"), (2, "ours")):
        lines = [f"{key} {texts[number]}\n" for key, texts in TEXTS.items()]
        (tmp_path / name).write_text("".join(lines))
        words.append(f"{name}={tmp_path / name}")
    kept = tmp_path / "kept.txt"
    done = subprocess.run([*words, "--output", str(kept)], capture_output=True, text=True)
    assert done.stdout == f"{kept}: 2 of 4 utterances\n", done.stderr
    lines = kept.read_text().splitlines()
    assert "2 of 4 utterances, confirmed by whisper and ours" in lines[0]
    assert lines[-2:] == ["a", "b"]

    log = PrepLog("x", "it", kept=4, seconds=2.0)
    keep_listed(data, kept, log)
    assert (log.kept, log.seconds) == (2, 1.0)
    assert [utterance.utterance_id for utterance in read_data_dir(data)] == ["a", "b"]
    assert read_json(data / "prep_log.json")["dropped"]["unconfirmed"]["ids"] == ["c", "d"]
    kept.write_text("a\nz\n")
    with pytest.raises(UserError, match="there is no utterance 'z'"):
        keep_listed(data, kept, log)
    (tmp_path / "ours").write_text("a premere uno\n")
    done = subprocess.run([*words, "--output", str(kept)], capture_output=True, text=True)
    assert done.returncode == 1 and "there is no utterance 'b'" in done.stderr
