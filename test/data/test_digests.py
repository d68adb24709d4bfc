"""The content of recordings by name: what was replaced is noticed, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_otreg.data.audio.recording import read_recordings
from espnet_otreg.data.digests import read_digests, recordings_changed
from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_data_dir, read_table
from espnet_otreg.data.validate import DataErrors
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

from .conftest import tone

MakeDir = Callable[..., Path]


def replace_in_place(path: Path, hertz: float = 880.0) -> None:
    """Another recording with as many bytes and the time of the one before."""
    status = path.stat()
    samples = soundfile.info(path).frames
    rate = soundfile.info(path).samplerate
    soundfile.write(path, tone(samples / rate, rate, hertz), rate)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def loudest(path: str) -> float:
    samples, rate = soundfile.read(path)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


def test_a_replaced_recording_is_converted_again_and_no_other(
    make_data_dir: MakeDir, tmp_path: Path
) -> None:
    data, output = make_data_dir(), tmp_path / "dump"
    format_data(data, output)
    before = {p.name: p.stat().st_mtime_ns for p in (output / "wavs").iterdir()}
    digests = read_table(output / "utt2digest")
    hint = recordings_changed(data)
    replace_in_place(tmp_path / "own_a.wav")
    assert recordings_changed(data) != hint
    format_data(data, output)
    after = {p.name: p.stat().st_mtime_ns for p in (output / "wavs").iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["a.wav"]
    assert loudest(read_table(output / "wav.scp")["a"]) == pytest.approx(880, abs=2)
    now = read_table(output / "utt2digest")
    assert now["a"] != digests["a"] and now["b"] == digests["b"]


def test_digests_are_those_of_sha256sum(make_data_dir: MakeDir, tmp_path: Path) -> None:
    format_data(make_data_dir(), tmp_path / "dump", jobs=2)
    wavs = read_table(tmp_path / "dump/wav.scp")
    for key, digest in read_table(tmp_path / "dump/utt2digest").items():
        told = subprocess.run(["sha256sum", wavs[key]], capture_output=True, text=True, check=True)
        assert told.stdout.split()[0] == digest


def test_a_wav_that_was_changed_behind_our_back_is_converted_again(
    make_data_dir: MakeDir, tmp_path: Path
) -> None:
    data, output = make_data_dir(), tmp_path / "dump"
    format_data(data, output)
    digests = read_table(output / "utt2digest")
    replace_in_place(output / "wavs/b.wav")
    format_data(data, output)
    assert read_table(output / "utt2digest") == digests
    assert loudest(f"{output}/wavs/b.wav") == pytest.approx(440, abs=2)


def test_another_option_converts_everything_again(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data, output = make_data_dir(), tmp_path / "dump"
    format_data(data, output)
    before = {p: p.stat().st_mtime_ns for p in (output / "wavs").iterdir()}
    format_data(data, output, mix_channels=False)
    assert all(p.stat().st_mtime_ns != before[p] for p in (output / "wavs").iterdir())


def test_directories_without_digests_are_read(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir(segments="x1 a 0.0 0.2\nx2 a 0.2 0.4\nx3 b 0.0 0.2\n",
                         text="x1 one\nx2 two\nx3 three\n",
                         utt2lang="x1 en\nx2 en\nx3 en\n")  # fmt: skip
    found = read_digests(data)
    assert found["x1"] == found["x3"] != found["x2"]  # both recordings hold the same tone
    replace_in_place(tmp_path / "own_a.wav")
    changed = read_digests(data)
    assert [key for key in found if found[key] != changed[key]] == ["x1", "x2"]
    # A table of digests is believed as far as it goes.
    (data / "utt2digest").write_text("x1 0a\n")
    assert read_digests(data) == {**changed, "x1": "0a"}


def test_content_counts_and_not_the_place(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    before = read_digests(data)
    (tmp_path / "own_a.wav").rename(tmp_path / "elsewhere.wav")
    table = (data / "wav.scp").read_text()
    (data / "wav.scp").write_text(table.replace("own_a.wav", "elsewhere.wav"))
    assert read_digests(data) == before
    (tmp_path / "own_b.wav").unlink()
    with pytest.raises(UserError, match=r"utterance b \(.*own_b\.wav\).*no such file"):
        read_digests(data, read_recordings(data / "wav.scp"))


@pytest.mark.parametrize("kind", ["truncated", "text", "missing", "empty"])
def test_unreadable_recordings_are_skipped_only_when_asked_for_and_listed(
    make_data_dir: MakeDir, tmp_path: Path, kind: str
) -> None:
    data, bad = make_data_dir(), tmp_path / "own_b.wav"
    if kind == "truncated":
        bad.write_bytes(bad.read_bytes()[:1000])
    elif kind == "text":
        bad.write_text("<html>not found</html>")
    elif kind == "empty":
        soundfile.write(bad, np.zeros(0), 8000)
    else:
        bad.unlink()
    with pytest.raises(DataErrors, match=r"1 error.*'b'.*own_b\.wav"):
        format_data(data, tmp_path / "dump")
    assert not (tmp_path / "dump/wav.scp").exists()
    report = format_data(data, tmp_path / "dump", skip_unreadable=True)
    assert report.kept == 1 and list(report.unreadable) == ["b"]
    assert [u.utterance_id for u in read_data_dir(tmp_path / "dump")] == ["a"]
    listed = read_table(tmp_path / "dump/unreadable")
    assert list(listed) == ["b"] and str(bad) in listed["b"]
    assert read_json(tmp_path / "dump/format_report.json")["unreadable"] == listed
    soundfile.write(bad, tone(0.5, 8000), 8000)
    assert format_data(data, tmp_path / "dump", skip_unreadable=True).kept == 2
    assert not (tmp_path / "dump/unreadable").exists()


def test_nothing_readable_is_an_error(make_data_dir: MakeDir, tmp_path: Path) -> None:
    data = make_data_dir()
    for name in ("own_a.wav", "own_b.wav"):
        (tmp_path / name).write_bytes(b"no audio")
    with pytest.raises(UserError, match="no utterance is left; dropped: unreadable 2"):
        format_data(data, tmp_path / "dump", skip_unreadable=True)
