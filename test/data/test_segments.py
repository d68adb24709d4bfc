"""Utterances that are parts of recordings: every reader cuts the same, every fault is named."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_data_dir, read_table
from espnet_otreg.data.validate import AudioChecks, validate_data
from espnet_otreg.decoding.data import read_data_set
from espnet_otreg.errors import UserError
from espnet_otreg.features.feature_dir import FeatureOptions, list_items
from espnet_otreg.slm.train_data import parse_sources, set_errors
from espnet_otreg.slm.waveform import SoundTable

from .conftest import tone

MakeDir = Callable[..., Path]
PITCHES = (300.0, 500.0, 700.0)  # of the three seconds of the recording


def loudest_hertz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 16000 / len(samples))


@pytest.fixture
def make_call(make_data_dir: MakeDir, tmp_path: Path) -> MakeDir:
    """A recording of three seconds, each at a pitch of its own, and two segments of it."""
    samples = np.concatenate([tone(1.0, 8000, hertz) for hertz in PITCHES])
    soundfile.write(tmp_path / "call.flac", samples, 8000)

    def make(segments: str = "a call 1.0 2.0\nb call 2.25 -1\n", **tables: str) -> Path:
        scp = f"call {tmp_path}/call.flac\n"
        return make_data_dir(**{"wav_scp": scp, "segments": segments, **tables})

    return make


def test_the_parts_are_cut_out(make_call: MakeDir, tmp_path: Path) -> None:
    directory = make_call()
    assert validate_data(directory, AudioChecks(decode=True, max_seconds=1.5)) == []
    report = format_data(directory, tmp_path / "dump")
    assert report.kept == 2 and report.seconds == pytest.approx(1.75)
    first, second = (soundfile.read(u.wav)[0] for u in read_data_dir(tmp_path / "dump"))
    assert (len(first), len(second)) == (16000, 12000)
    assert loudest_hertz(first) == pytest.approx(500, abs=2)
    assert loudest_hertz(second) == pytest.approx(700, abs=2)
    assert read_table(tmp_path / "dump/utt2dur") == {"a": "1.0000", "b": "0.7500"}
    assert not (tmp_path / "dump/segments").exists()


def test_every_reader_of_a_data_directory_takes_the_same_part(make_call: MakeDir) -> None:
    directory = make_call()
    recordings = read_recordings(directory / "wav.scp")
    assert loudest_hertz(recordings["a"].read(16000)) == pytest.approx(500, abs=2)
    table = SoundTable(directory / "wav.scp")  # of a training
    assert sorted(table) == ["a", "b"] and np.array_equal(table["a"], recordings["a"].read(16000))
    data = read_data_set(directory, precomputed=False)
    assert {u.key: u.source for u in data.utterances} == recordings
    assert [u.seconds for u in data.utterances] == pytest.approx([1.0, 0.75])
    items = list_items(directory, FeatureOptions("model", "sha"))
    assert {item.utterance: item.wav for item in items} == recordings
    assert [item.bytes for item in items] == [32000, 24000]
    sources = [f"{directory}/wav.scp,speech,sound", f"{directory}/text,text,text"]
    parsed = parse_sources("--train", sources, [])
    assert set_errors("train", parsed, [f"{directory}/segments"], ("speech",)) == []
    errors = set_errors("train", parsed, [f"{directory}/wav.scp"], ("speech",))
    assert "own/wav.scp lists recordings; give" in errors[-1]
    assert f"{directory}/segments as --train_shape_file" in errors[-1]


def test_ids_as_in_wav_scp_and_overlaps(make_call: MakeDir, tmp_path: Path) -> None:
    segments = "a a 0.0 0.2\nb a 0.1 0.3\n"
    directory = make_call(segments, wav_scp=f"a {tmp_path}/call.flac\nb {tmp_path}/call.flac\n")
    format_data(directory, tmp_path / "dump", limit=0)
    assert read_table(tmp_path / "dump/utt2num_samples") == {"a": "3200", "b": "3200"}
    (directory / "segments").write_text("a a 0.0 0.2\nb b 0.1 0.7\n")
    format_data(directory, tmp_path / "dump")  # and cuts again
    assert read_table(tmp_path / "dump/utt2num_samples") == {"a": "3200", "b": "9600"}


def test_lengths_are_those_of_the_segments(make_call: MakeDir, tmp_path: Path) -> None:
    directory = make_call("a call 0 0.05\nb call 1 3\nc call 0 1\n",
                          text="a x\nb y\nc z\n", utt2lang="a en\nb en\nc en\n")  # fmt: skip
    report = format_data(directory, tmp_path / "dump", max_duration=1.5)
    assert report.dropped == {"too_short": ["a"], "too_long": ["b"]} and report.kept == 1
    (error,) = validate_data(directory, AudioChecks(max_seconds=1.5))
    assert "own/segments:2: utterance 'b' is 2.0 s long, more than 1.5 s" in error


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ("a call 0 1\nb tape 0 1\n", "2: utterance 'b': recording 'tape' is not in wav.scp"),
        ("a call 0 1\nb call 2 2\n", "2: utterance 'b': the end, 2 s, is not after the start"),
        ("a call 0 1\nb call 2 1\n", "2: utterance 'b': the end, 1 s, is not after the start"),
        ("a call 0 1\nb call 1 3.1\n", "2: utterance 'b': ends at 3.1 s, after its recording"),
        ("a call 0 1\nb call 3 9\n", "2: utterance 'b': begins at 3 s, after its recording"),
        ("a call 0 1\nb call 4 -1\n", "2: utterance 'b': begins at 4 s, after its recording"),
        ("a call 0 1\nb call -0.5 1\n", "2: utterance 'b': a time below zero"),
        ("a call 0 1\nb call 0 -2\n", "2: utterance 'b': a time below zero"),
        ("a call 0 1\nb call -1 -1\n", "2: utterance 'b': a time below zero"),
        ("a call 0 1\nb call nan 1\n", "2: utterance 'b': 'nan 1' are no two times"),
        ("a call 0 1\nb call 0 inf\n", "2: utterance 'b': '0 inf' are no two times"),
        ("a call 0 1\nb call 0 1_0\n", "2: utterance 'b': '0 1_0' are no two times"),
        ("a call 0 1\nb call 0:00 0:01\n", "2: utterance 'b': '0:00 0:01' are no two times"),
        ("a call 0 1\nb call 0 1,5\n", "2: utterance 'b': '0 1,5' are no two times"),
        ("a call 0 1\nb call 0\n", "2: utterance 'b': expected 4 columns"),
        ("a call 0 1\nb call 0 1 0\n", "2: utterance 'b': expected 4 columns"),
        ("a call 0 1\na call 1 2\nb call 0 1\n", "segments:2: duplicate id 'a'"),
        ("b call 0 1\na call 0 1\n", "segments:2: not sorted"),
        ("a call 0 1\n", "own/text: has"),
        ("", "own/segments: no utterance at all"),
    ],
)  # fmt: skip
def test_faults_name_the_line(make_call: MakeDir, segments: str, message: str) -> None:
    errors = validate_data(make_call(segments))
    if message.startswith("2: "):
        message = f"own/segments:{message}"
    message = message.replace("own/text: has", "own/text:2: 'b' is not in segments")
    assert any(message in error for error in errors), errors


def test_a_frame_beyond_the_end_is_rounding(make_call: MakeDir, tmp_path: Path) -> None:
    directory = make_call("a call 2 3.009\nb call 1 2\n")
    assert validate_data(directory) == []
    format_data(directory, tmp_path / "dump")
    assert read_table(tmp_path / "dump/utt2num_samples")["a"] == "16000"


def test_readers_of_a_faulty_table_name_it(make_call: MakeDir) -> None:
    directory = make_call("a call 0 1\nb tape 0 1\n")
    with pytest.raises(UserError, match=r"own/segments:2: utterance 'b': recording 'tape'"):
        read_data_set(directory, precomputed=False)
    (directory / "segments").write_text("a call 0 1\nb call 1 9\n")
    recording = read_recordings(directory / "wav.scp")["b"]
    assert str(recording).endswith(f"from 1 to 9 s, {directory}/segments:2")
    with pytest.raises(UserError, match="lasts 3.00 s"):
        recording.read(16000)


def test_a_command_is_refused_by_every_reader(make_call: MakeDir) -> None:
    directory = make_call(wav_scp="call sox call.flac -t wav - |\n")
    assert "own/wav.scp:1: recording 'call' is a command" in validate_data(directory)[0]
    with pytest.raises(UserError, match=r"own/wav.scp: 'call' is a command"):
        read_recordings(directory / "wav.scp")


def test_a_second_channel_is_not_taken_for_the_first(make_call: MakeDir) -> None:
    directory = make_call(**{"reco2file_and_channel": "call call A\n"})
    assert validate_data(directory) == []
    (directory / "reco2file_and_channel").write_text("call call B\n")
    (error,) = validate_data(directory)
    assert "own/reco2file_and_channel:1: 'call' is channel B of a file" in error
    with pytest.raises(UserError, match="is channel B"):
        read_recordings(directory / "wav.scp")


def test_the_first_channel_of_two_is_not_their_mean(make_call: MakeDir, tmp_path: Path) -> None:
    both = np.stack([tone(3.0, 8000, 500), tone(3.0, 8000, 900)], axis=1)
    soundfile.write(tmp_path / "both.wav", both, 8000)
    scp = f"call {tmp_path}/both.wav\n"
    directory = make_call(wav_scp=scp, **{"reco2file_and_channel": "call both A\n"})
    (error,) = validate_data(directory)
    assert "own/reco2file_and_channel:1: 'call' is channel A of a file" in error
    with pytest.raises(UserError, match="is channel A"):
        read_recordings(directory / "wav.scp")


def test_a_directory_of_ours_has_no_segments(make_call: MakeDir, tmp_path: Path) -> None:
    format_data(make_call(), tmp_path / "dump")
    (tmp_path / "dump/segments").write_text("a a 0 1\n")
    with pytest.raises(UserError, match="cut them with format_data first"):
        read_data_dir(tmp_path / "dump")


def test_a_whole_file_is_described_by_its_path() -> None:
    assert str(Recording("a.wav")) == "a.wav"


def test_a_part_of_a_file_that_was_replaced_in_place_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    part = Recording(str(path), 0.0, 0.5)
    soundfile.write(path, tone(1.0, 16000, 400), 16000)
    before, status = part.read(16000), path.stat()
    soundfile.write(path, tone(1.0, 16000, 700), 16000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert not np.array_equal(part.read(16000), before)
