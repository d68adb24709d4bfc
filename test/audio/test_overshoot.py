"""Lossy codings may come out louder than full scale, exact samples may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from odd_common import voice, write
from odd_encoders import encode

from espnet_otreg.data.audio import Conversions, Policy, audio_seconds, read_mono, speech_samples
from espnet_otreg.data.audio.decode import decode
from espnet_otreg.data.audio.door import read_declared
from espnet_otreg.data.audio.source import read_source
from espnet_otreg.data.format import format_data
from espnet_otreg.errors import UserError

RATE = 48000
LOUD = (2.6 / np.abs(voice(0.5, RATE)).max()) * voice(0.5, RATE)  # of which a master is clipped

LOSSY = {
    "a.ogg": lambda sound: write(sound, RATE, "OGG", "VORBIS"),
    "a.opus": lambda sound: encode(sound, RATE, "ogg", "libopus"),
    "a.mp3": lambda sound: encode(sound, RATE, "mp3", "libmp3lame"),
    "a.aac": lambda sound: encode(sound, RATE, "adts", "aac"),
    "a.m4a": lambda sound: encode(sound, RATE, "ipod", "aac"),
    "a.webm": lambda sound: encode(sound, RATE, "webm", "libopus"),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_coding_is_clipped_and_counted(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(LOSSY[name](LOUD))
    whole = decode(read_source(path)).samples
    assert np.abs(whole).max() > 1.1  # the decoder clips nothing
    seen = Conversions()
    samples, _ = read_declared(read_source(path), Policy(None, seen=seen))
    assert np.array_equal(samples, np.clip(whole[:, 0], -1.0, 1.0))
    assert seen.sentences() == [
        f"1 recording of a lossy coding goes beyond full scale and is clipped, for instance {path}"
    ]
    assert np.abs(read_mono(path, 16000, start=0.1, end=0.3)).max() <= 1.0


@pytest.mark.parametrize("name", ["a.ogg", "a.m4a"])
def test_integers_left_in_floats_are_refused_in_any_coding(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(LOSSY[name](LOUD * 8))
    with pytest.raises(UserError, match="samples reach .* where full scale is 1"):
        read_mono(path, 16000)


def test_exact_samples_are_refused_as_before() -> None:
    for kind, subtype in (("WAV", "FLOAT"), ("CAF", "DOUBLE")):
        with pytest.raises(UserError, match="samples reach 2.6 where full scale is 1"):
            speech_samples(write(LOUD, RATE, kind, subtype))
    # What the type of integers or a fixed scale bounds never goes beyond it.
    for content in (
        write(LOUD, RATE, "WAV", "PCM_16"),
        write(LOUD, RATE, "WAV", "ULAW"),
        write(LOUD, RATE, "FLAC"),
    ):
        seen = Conversions()
        samples, _ = read_declared(read_source(content), Policy(None, seen=seen))
        assert np.abs(samples).max() <= 1.0 and seen.sentences() == []


def test_a_data_directory_with_a_loud_recording_is_converted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    wavs = []
    for name, content in (("a", LOSSY["a.ogg"](LOUD)), ("b", write(LOUD / 3, RATE, "WAV"))):
        path = tmp_path / f"{name}.audio"
        path.write_bytes(content)
        wavs.append(f"{name} {path}\n")
    (data / "wav.scp").write_text("".join(wavs))
    (data / "text").write_text("a good day\nb good night\n")
    (data / "utt2lang").write_text("a en\nb en\n")
    report = format_data(data, tmp_path / "out")
    assert report.kept == 2
    assert any("1 recording of a lossy coding" in line for line in report.conversions)
    loud = read_mono(tmp_path / "out/wavs/a.wav", 16000)
    assert np.abs(loud).max() > 0.99 and audio_seconds(tmp_path / "out/wavs/a.wav") == 0.5
