"""Any audio to 16 kHz mono WAV: exact lengths, resumable, nothing half-written."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_otreg.data.audio import audio_seconds, decode, read_mono, read_source, write_wav
from espnet_otreg.data.format import format_data
from espnet_otreg.data.kaldi_dir import read_data_dir, read_table
from espnet_otreg.data.validate import AudioChecks, DataErrors, validate_data
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

from .conftest import tone, write_g722

MakeDir = Callable[..., Path]


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


def test_g722_is_decoded_to_its_exact_length(tmp_path: Path) -> None:
    write_g722(tmp_path / "a.g722", 0.6)
    assert (tmp_path / "a.g722").stat().st_size == 4800
    decoded = decode(read_source(tmp_path / "a.g722"))
    assert decoded.samples.shape == (9600, 1) and decoded.rate == 16000
    assert audio_seconds(tmp_path / "a.g722") == 0.6
    assert loudest_hertz(decoded.samples[:, 0], decoded.rate) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(("ending", "rate"), [("wav", 8000), ("flac", 48000), ("ogg", 44100),
                                              ("mp3", 22050), ("als", 11025)])  # fmt: skip
def test_every_format_becomes_16_khz(tmp_path: Path, ending: str, rate: int) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "als":
        path.write_bytes((tone(1.0, rate) * 127 + 128).astype(np.uint8).tobytes())
    else:
        soundfile.write(path, tone(1.0, rate), rate)
    samples = read_mono(path, 16000)
    assert samples.dtype == np.float32 and len(samples) == pytest.approx(16000, abs=1600)
    assert audio_seconds(path) == pytest.approx(len(samples) / 16000, abs=0.01)
    assert loudest_hertz(samples, 16000) == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.05)


def test_what_only_ffmpeg_knows(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(1.0, 16000)[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert loudest_hertz(read_mono(path, 16000), 16000) == pytest.approx(440, abs=2)


def test_16_bit_samples_survive_bit_for_bit(tmp_path: Path) -> None:
    pcm = np.array([-32768, -1, 0, 1, 32767], np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, 16000)
    write_wav(tmp_path / "b.wav", read_mono(tmp_path / "a.wav", 16000), 16000)
    assert np.array_equal(soundfile.read(tmp_path / "b.wav", dtype="int16")[0], pcm)


def test_a_users_own_corpus(make_data_dir: MakeDir, tmp_path: Path) -> None:
    report = format_data(make_data_dir(), tmp_path / "dump")
    assert report.kept == 2 and report.seconds == 1.0 and not report.dropped
    first, second = read_data_dir(tmp_path / "dump")
    assert (first.text, first.raw_text) == ("good morning", "Good morning!")
    assert second.text == "press four"
    assert first.domain == "own" and first.speaker == "en_own_unknown"
    assert read_table(tmp_path / "dump/utt2dur") == {"a": "0.5000", "b": "0.5000"}
    assert read_table(tmp_path / "dump/utt2num_samples") == {"a": "8000", "b": "8000"}
    information = soundfile.info(first.wav)
    assert (information.samplerate, information.channels, information.subtype) == (
        16000, 1, "PCM_16",
    )  # fmt: skip
    assert not validate_data(tmp_path / "dump", AudioChecks(decode=True))
    again = format_data(tmp_path / "dump", tmp_path / "again")  # a prepared one stays as it is
    assert again.kept == 2
    assert read_table(tmp_path / "again/text.raw") == read_table(tmp_path / "dump/text.raw")


def test_drops_are_counted(make_data_dir: MakeDir, tmp_path: Path) -> None:
    for key, seconds in (("c", 0.05), ("d", 2.0), ("e", 0.5)):
        soundfile.write(tmp_path / f"{key}.wav", tone(seconds, 8000), 8000)
    paths = [f"{tmp_path}/{name}.wav" for name in ("own_a", "own_b", "c", "d", "e")]
    table = "".join(f"{k} {{}}\n" for k in "abcde")
    directory = make_data_dir(
        wav_scp=table.format(*paths),
        text=table.format("x", "y", "z", "w", "room 1234"),
        utt2lang=table.format(*["en"] * 5),
    )
    report = format_data(directory, tmp_path / "dump", max_duration=1.0, jobs=2)
    assert report.kept == 2
    assert report.dropped == {"number": ["e"], "too_short": ["c"], "too_long": ["d"]}


def test_a_smaller_limit_leaves_no_stale_file(make_data_dir: MakeDir, tmp_path: Path) -> None:
    directory = make_data_dir()
    format_data(directory, tmp_path / "dump")
    assert format_data(directory, tmp_path / "dump", limit=1).kept == 1
    (wav,) = (tmp_path / "dump/wavs").iterdir()
    assert list(read_table(tmp_path / "dump/text")) == [wav.stem]


def test_a_changed_recording_is_converted_again(make_data_dir: MakeDir, tmp_path: Path) -> None:
    directory = make_data_dir()
    format_data(directory, tmp_path / "dump")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "dump/wavs").iterdir()}
    format_data(directory, tmp_path / "dump")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "dump/wavs").iterdir()}
    soundfile.write(tmp_path / "own_a.wav", tone(0.7, 8000), 8000)
    format_data(directory, tmp_path / "dump")
    assert read_table(tmp_path / "dump/utt2dur")["a"] == "0.7000"


@pytest.mark.parametrize("kind", ["NaN", "empty", "truncated"])
def test_bad_audio_leaves_no_table(make_data_dir: MakeDir, tmp_path: Path, kind: str) -> None:
    from .test_validate import broken_wav

    directory = make_data_dir()
    broken_wav(kind, tmp_path / "own_b.wav")
    with pytest.raises(DataErrors, match=r"utterance 'b': .*own_b\.wav"):
        format_data(directory, tmp_path / "dump", jobs=2)
    assert not (tmp_path / "dump/wav.scp").exists()
    assert not list((tmp_path / "dump").rglob("*.tmp"))


def test_stereo_is_mixed_and_other_rates_are_resampled_unless_refused(
    make_data_dir: MakeDir, tmp_path: Path
) -> None:
    from .test_validate import broken_wav

    directory = make_data_dir()
    broken_wav("stereo", tmp_path / "own_b.wav")
    report = format_data(directory, tmp_path / "dump", jobs=2)
    assert report.kept == 2
    assert report.conversions == (
        f"2 recordings of 8000 Hz are resampled to 16000 Hz, for instance {tmp_path}/own_a.wav",
        f"1 recording of 2 channels is mixed to one, for instance {tmp_path}/own_b.wav",
    )
    assert "conversions" not in read_json(tmp_path / "dump/format_report.json")
    with pytest.raises(DataErrors, match=r"'b': .*own_b\.wav: the audio has 2 channels, not one"):
        format_data(directory, tmp_path / "refused", mix_channels=False)
    with pytest.raises(DataErrors, match=r"'a': .*own_a\.wav: the rate is 8000 Hz, not 16000"):
        format_data(directory, tmp_path / "refused", resample=False)
    assert not (tmp_path / "refused/wav.scp").exists()


@pytest.mark.parametrize(
    "arguments", [{"limit": -1}, {"jobs": 0}, {"min_duration": 2.0, "max_duration": 1.0}]
)
def test_arguments_are_checked(make_data_dir: MakeDir, tmp_path: Path, arguments) -> None:
    with pytest.raises(UserError, match="limit|jobs|min_duration"):
        format_data(make_data_dir(), tmp_path / "dump", **arguments)


def test_a_killed_run_is_taken_up(make_data_dir: MakeDir, tmp_path: Path) -> None:
    keys = [f"u{number:03d}" for number in range(150)]
    soundfile.write(tmp_path / "long.wav", tone(5.0, 44100), 44100)
    directory = make_data_dir(
        wav_scp="".join(f"{key} {tmp_path}/long.wav\n" for key in keys),
        text="".join(f"{key} hello\n" for key in keys),
        utt2lang="".join(f"{key} en\n" for key in keys),
    )
    command = [sys.executable, "-m", "espnet_otreg.bin.format_data", "--nj", "1"]
    command += ["--data_dir", str(directory), "--output_dir", str(tmp_path / "dump")]
    run = subprocess.Popen(command)
    wavs = tmp_path / "dump/wavs"
    while not wavs.is_dir() or len(list(wavs.glob("u*.wav"))) < 5:
        assert run.poll() is None
        time.sleep(0.01)
    run.kill()
    run.wait()
    done = {path: path.stat().st_mtime_ns for path in wavs.glob("u*.wav")}
    assert not (tmp_path / "dump/wav.scp").exists() and len(done) < 150
    subprocess.run(command, check=True)
    assert len(read_data_dir(tmp_path / "dump")) == 150
    assert all(path.stat().st_mtime_ns == made for path, made in done.items())
    assert not list(wavs.glob(".*"))
