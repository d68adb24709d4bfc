"""Every fault of a data directory is one sentence that names file and line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_otreg.data.validate import AudioChecks, DataErrors, require_valid, validate_data

from .conftest import tone

MakeDir = Callable[..., Path]
DECODE = AudioChecks(decode=True)


def test_a_good_directory_has_no_fault(make_data_dir: MakeDir) -> None:
    assert validate_data(make_data_dir(), DECODE) == []


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"text": "a Good.\n"}, "own/text: 'b' of wav.scp is missing"),
        ({"text": "a Good.\nb ok\nc more\n"}, "own/text:3: 'c' is not in wav.scp"),
        ({"text": "a Good.\nb\n"}, "own/text:2: utterance 'b': the transcript is empty"),
        ({"text": "a Good.\nb ?!\n"}, "own/text:2: utterance 'b': the transcript is empty"),
        ({"text": "b Good.\na ok\n"}, "own/text:2: not sorted ('a' after 'b')"),
        ({"text": "a Good.\na ok\nb x\n"}, "own/text:2: duplicate id 'a' (first on line 1)"),
        ({"utt2lang": "a en\nb xx\n"}, "own/utt2lang:2: utterance 'b': unknown language 'xx'"),
        ({"utt2lang": "a en\nb englisch\n"}, "unknown language 'englisch'"),
        ({"utt2lang": "a en\nb itallian\n"}, "did you mean Italian (it)?"),
        ({"wav_scp": "a /no/such.wav\nb\n"}, "the file /no/such.wav does not exist"),
        ({"wav_scp": "a /dev\nb /dev/null\n"}, "utterance 'a': /dev is no file; write the path"),
        ({"wav_scp": "a /dev\nb /dev/null\n"}, "utterance 'b': /dev/null is no file; write"),
        ({"wav_scp": "a /no/such.wav\nb\n"}, "own/wav.scp:2: utterance 'b' has no path"),
        ({"wav_scp": "a sox x.mp3 - |\nb x\n"}, "own/wav.scp:1: utterance 'a' is a command"),
        ({"wav_scp": "a/b x.wav\n"}, "own/wav.scp:1: bad utterance id 'a/b'"),
        ({"wav_scp": ""}, "no utterance at all"),
        ({"utt2spk": "a two words\nb s\n"}, "own/utt2spk:1: utterance 'a': expected one word"),
        ({"utt2domain": "a x\n"}, "own/utt2domain: 'b' of wav.scp is missing"),
    ],
)
def test_faults_of_the_tables(make_data_dir: MakeDir, tables: dict[str, str], message: str) -> None:
    errors = validate_data(make_data_dir(**tables))
    assert any(message in error for error in errors), errors
    assert all("\n" not in error and "own" in error for error in errors)


def test_missing_tables_and_directories(make_data_dir: MakeDir, tmp_path: Path) -> None:
    directory = make_data_dir()
    (directory / "utt2lang").unlink()
    assert "own/utt2lang: the file is missing" in validate_data(directory)[0]
    assert "no such directory" in validate_data(tmp_path / "none")[0]


def broken_wav(kind: str, path: Path) -> None:
    if kind == "stereo":
        soundfile.write(path, np.stack([tone(0.2, 8000)] * 2, axis=1), 8000)
    elif kind == "NaN":
        soundfile.write(path, np.full(800, np.nan, np.float32), 8000, subtype="FLOAT")
    elif kind == "empty":
        soundfile.write(path, np.zeros(0, np.float32), 8000)
    elif kind == "truncated":
        soundfile.write(path, tone(1.0, 8000), 8000)
        path.write_bytes(path.read_bytes()[:4000])
    elif kind == "can be decoded":
        path.write_bytes(b"no audio at all" * 10)


@pytest.mark.parametrize("kind", ["NaN", "empty", "truncated", "can be decoded"])
def test_faults_of_the_audio(make_data_dir: MakeDir, tmp_path: Path, kind: str) -> None:
    directory = make_data_dir()
    broken_wav(kind, tmp_path / "own_b.wav")
    (error,) = validate_data(directory, DECODE)
    assert "own/wav.scp:2: utterance 'b'" in error and "own_b.wav" in error and kind in error


def test_a_truncated_ogg_is_found(make_data_dir: MakeDir, tmp_path: Path) -> None:
    ogg = tmp_path / "cut.ogg"
    soundfile.write(ogg, tone(3.0, 44100), 44100)
    directory = make_data_dir(wav_scp=f"a {tmp_path}/own_a.wav\nb {ogg}\n")
    assert validate_data(directory, DECODE) == []
    ogg.write_bytes(ogg.read_bytes()[:-2000])
    assert "truncated" in validate_data(directory, DECODE)[0]


def test_other_rates_and_stereo_are_noticed_or_refused(
    make_data_dir: MakeDir, tmp_path: Path
) -> None:
    directory = make_data_dir()
    broken_wav("stereo", tmp_path / "own_b.wav")
    notices: list[str] = []
    assert validate_data(directory, DECODE, notices=notices) == []
    assert len(notices) == 2 and "2 recordings of 8000 Hz are resampled" in notices[0]
    (error,) = validate_data(directory, AudioChecks(decode=True, mix_channels=False))
    assert "utterance 'b'" in error and "2 channels, not one" in error
    errors = validate_data(directory, AudioChecks(decode=True, resample=False))
    assert len(errors) == 2 and "the rate is 8000 Hz, not 16000" in errors[0]


def test_an_over_long_utterance(make_data_dir: MakeDir) -> None:
    errors = validate_data(make_data_dir(), AudioChecks(max_seconds=0.4))
    assert "is 0.5 s long, more than 0.4 s" in errors[0] and len(errors) == 2


def test_ten_faults_are_shown_and_all_are_kept(make_data_dir: MakeDir) -> None:
    directory = make_data_dir(utt2lang="".join(f"{n:02d} xx\n" for n in range(15)))
    with pytest.raises(DataErrors) as error:
        require_valid(directory)
    assert len(error.value.errors) > 15 and "(10)" in str(error.value)
    assert "more" in str(error.value) and "(11)" not in str(error.value)
