"""The command lines on the whole corpus of odd recordings; test/audio/test_agreement.py calls
their functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from audio_model import write_audio_model
from bad_input import assert_refused, command
from odd_audio import odd_recordings, write_corpus

from espnet_otreg.data.kaldi_dir import read_table

USED = sorted(odd.name for odd in odd_recordings() if odd.decision == "used")
OTHERS = sorted(odd.name for odd in odd_recordings() if odd.decision != "used")
# One of each container: a process takes long to start.
DAMAGED = ("cut.wav", "cut.w64", "cut.aiff", "cut.au", "cut.caf", "cut.flac", "cut.ogg", "cut.mp3",
           "cut.aac", "cut.mp4", "cut.webm", "cut.amr", "over_long.wav")  # fmt: skip


def data_dir(directory: Path, names: Sequence[str]) -> Path:
    """A data directory of some recordings, whose ids are their names."""
    paths = write_corpus(directory)
    for table, value in (("wav.scp", None), ("text", "uno due tre"), ("utt2lang", "it")):
        lines = [f"{name} {value or paths[name]}\n" for name in sorted(names)]
        (directory / table).write_text("".join(lines))
    return directory


@pytest.mark.timeout(3600)
def test_the_commands_agree(tiny_whisper: Path, tmp_path: Path) -> None:
    for name in ("all", "used", "one"):
        (tmp_path / name).mkdir()
    exp = write_audio_model(tmp_path, tiny_whisper)
    everything = data_dir(tmp_path / "all", [*USED, *OTHERS])
    done = command("validate_data", everything, "--check_audio", "--show", 999,
                   "--max_duration", 30)  # fmt: skip
    assert done.status == 1
    assert sorted(re.findall(r"utterance '([^']+)'", done.stderr)) == OTHERS
    used = data_dir(tmp_path / "used", USED)
    done = command("validate_data", used, "--check_audio", "--max_duration", 30)
    assert done.status == 0 and "length not declared" in done.stdout, done.stderr
    done = command("format_data", "--data_dir", used, "--output_dir", tmp_path / "dump",
                   "--min_duration", 0)  # fmt: skip
    assert done.status == 0, done.stderr
    samples = {odd.name: odd.samples for odd in odd_recordings()}
    found = read_table(tmp_path / "dump/utt2num_samples")
    assert {name: int(count) for name, count in found.items()} == {n: samples[n] for n in USED}
    decode = ("--model_dir", exp, "--modes", "ctc", "--output_dir")
    done = command("slm_decode", "--data_dir", used, *decode, tmp_path / "out")
    assert done.status == 0 and "are resampled to 16000 Hz" in done.stderr, done.stderr
    assert sorted(read_table(tmp_path / "out/ctc/used/text")) == USED
    transcribe = ("--model_dir", exp, "--language", "it", "--mode", "ctc")
    done = command("slm_transcribe", *(used / name for name in USED), *transcribe)
    assert done.status == 0 and len(done.stdout.splitlines()) == len(USED), done.stderr
    assert "are resampled to 16000 Hz" in done.stderr
    for name in DAMAGED:
        one = data_dir(tmp_path / "one", [name])
        done = command("slm_decode", "--data_dir", one, *decode, tmp_path / "refused")
        assert_refused(done, f"utterance {name}", one / name)
        done = command("slm_transcribe", one / name, *transcribe)
        assert_refused(done, one / name)
