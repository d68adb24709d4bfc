"""Arrays, tensors, dictionaries and files of any type become the right samples, or none."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from odd_common import voice, write

from espnet_otreg.data.audio import CONVERSIONS, Policy, read_mono, speech_samples
from espnet_otreg.errors import UserError

SOUND = voice(0.1, 16000)


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [("int8", 128, 0), ("uint8", 128, 128), ("int16", 32768, 0), ("int32", 2**31, 0)],
)
def test_integers_are_scaled_by_their_type(dtype: str, scale: int, offset: int) -> None:
    integers = np.rint(SOUND.astype(np.float64) * scale + offset).astype(dtype)
    assert np.abs(speech_samples(integers) - SOUND).max() <= 0.6 / scale + 1e-7
    assert np.abs(speech_samples(torch.from_numpy(integers)) - SOUND).max() <= 0.6 / scale + 1e-7


def test_24_bits_in_32_are_taken_to_fill_the_upper_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(write(SOUND, 16000, "WAV", "PCM_24"))
    integers, _ = soundfile.read(path, dtype="int32")
    assert np.array_equal(speech_samples(integers), read_mono(path, 16000))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_floats_are_taken_as_they_are(dtype: str) -> None:
    found = speech_samples(1.7 / np.abs(SOUND).max() * SOUND.astype(dtype))
    assert found.dtype == np.float32 and np.abs(found).max() == pytest.approx(1.7, rel=1e-3)


def test_tensors_of_any_kind() -> None:
    tensor = torch.from_numpy(SOUND)
    assert np.array_equal(speech_samples(tensor.requires_grad_()), SOUND)
    assert np.allclose(speech_samples(tensor.detach().bfloat16()), SOUND, atol=2e-3)


@pytest.mark.parametrize("shape", [(1, -1), (-1, 1)])
def test_one_channel_on_either_side(shape: tuple[int, int]) -> None:
    assert np.array_equal(speech_samples(SOUND.reshape(shape)), SOUND)


def test_channels_on_either_side_are_averaged() -> None:
    for channels in (2, 6):
        both = voice(0.1, 16000, channels)
        expected = both.mean(1)
        assert np.allclose(speech_samples(both), expected, atol=1e-7)
        assert np.allclose(speech_samples(both.T), expected, atol=1e-7)
        with pytest.raises(UserError, match=f"{channels} channels, not one.*mix_channels"):
            speech_samples(both, mix_channels=False)


def test_channels_that_cancel() -> None:
    for second in (-SOUND, -0.9 * SOUND, 0.25 - SOUND):
        with pytest.raises(UserError, match="the 2 channels cancel each other out"):
            speech_samples(np.stack([SOUND, second]))
    # One of six channels speaks, one of two is quiet, two have nothing in common, all are silent.
    noise = np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32) / 9
    for harmless in (
        np.stack([SOUND, *np.zeros((5, len(SOUND)), np.float32)]),
        np.stack([SOUND, -0.5 * SOUND]),
        noise,
        np.zeros((2, 4000), np.float32),
    ):
        assert len(speech_samples(harmless)) == harmless.shape[1]


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (SOUND * 32768, "samples reach .* where full scale is 1; divide by"),
        ((SOUND * 2**31).astype(np.float64), "where full scale is 1"),
        (np.rint(SOUND * 32768).astype(np.int32), "int32 samples lie below the least step of 16"),
        (np.rint(SOUND * 32768).astype(np.int64), "samples of type int64 have no known full scale"),
        (np.rint(SOUND * (2**23 - 1)).astype(np.int32), "int32 samples lie in the lower 24 bits"),
        (np.zeros(9, np.uint16), "type uint16"),
        (torch.from_numpy(SOUND).to_sparse(), "this Tensor is no array of samples .*plain array"),
        (torch.empty(9, device="meta"), "this Tensor is no array of samples"),
        (torch.from_numpy(SOUND).to(torch.float8_e4m3fn), "this Tensor is no array of samples"),
        ({"array": [[0.1, 0.2], [0.1]], "sampling_rate": 16000}, "this list is no array of samp"),
        (np.ones(99, bool), "type bool"),
        (SOUND.astype(complex), "type complex128"),
        (np.array([None, 1.0]), "type object"),
        (np.array(["a", "b"]), "have no known full scale"),
        (np.array([0.1, np.nan, 0.2]), "NaN or infinite"),
        (np.array([np.nan, 0.2]), "NaN or infinite"),
        (np.array([0.1, -np.inf]), "NaN or infinite"),
        (np.zeros(0), "the audio is empty"),
        (np.zeros((0, 2)), "the audio is empty"),
        (np.zeros((2, 0), np.int16), "the audio is empty"),
        (np.float32(0.5), r"an array of shape \(\) is no recording"),
        (np.zeros((3, 3)), r"shape \(3, 3\)"),
        (np.zeros((2, 2, 800)), r"shape \(2, 2, 800\)"),
        (np.zeros((200, 300)), r"shape \(200, 300\)"),
        (None, "expected a recording, found NoneType"),
        (3.5, "expected a recording, found float"),
        ([0.1, 0.2], "expected a recording, found list"),
        ((SOUND, 16000), "expected a recording, found tuple"),
        ({}, "a dictionary with nothing is no recording"),
        ({"text": "a"}, "a dictionary with text is no recording"),
        ({"array": SOUND}, "sampling_rate is None"),
        ({"array": SOUND, "sampling_rate": 0}, "sampling_rate is 0"),
        ({"array": SOUND, "sampling_rate": "16k"}, "sampling_rate is '16k'"),
        ({"array": SOUND, "sampling_rate": float("nan")}, "sampling_rate is nan"),
        ({"bytes": None, "path": None}, "no recording"),
        (b"", "not an audio file that can be decoded"),
        (io.StringIO("text"), "the file is open as text"),
        (io.BytesIO(b"this is no audio"), "the given BytesIO: not an audio file"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_recording(audio: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        speech_samples(audio)
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(write(SOUND, 16000, "WAV"))
    with open(path) as text, open(tmp_path / "b.wav", "wb") as written:
        for file, says in (
            (text, "a.wav: the file is open as text; open it with mode 'rb'"),
            (written, "b.wav: the file cannot be read .*; open it with mode 'rb'"),
            (soundfile.SoundFile(path), "a.wav: reading gives ndarray, not bytes"),
        ):
            with pytest.raises(UserError, match=says):
                speech_samples(file)
    closed = io.BytesIO(path.read_bytes())
    closed.close()
    with pytest.raises(UserError, match="the given BytesIO: the file cannot be read .*closed"):
        speech_samples(closed)
    for name in ("", "a\0.wav"):
        with pytest.raises(
            UserError, match="this is the path of no file; check the path"
        ) as caught:
            speech_samples(name)
        assert str(caught.value).isprintable()


def test_what_datasets_give() -> None:
    wav = write(voice(0.5, 8000), 8000, "WAV")
    expected = speech_samples(wav)
    assert len(expected) == 8000
    array, rate = soundfile.read(io.BytesIO(wav), dtype="float64")
    for audio in (
        {"array": array, "sampling_rate": rate, "path": "a.wav"},
        {"array": array.tolist(), "sampling_rate": np.int64(rate)},
        {"bytes": wav, "path": None},
        {"bytes": wav, "path": "clips/a.wav"},
    ):
        assert np.allclose(speech_samples(audio), expected, atol=1e-6)
    with pytest.raises(UserError, match="the rate is 8000 Hz, not 16000.*resample"):
        speech_samples({"array": array, "sampling_rate": rate}, resample=False)


def test_resampling_keeps_the_sound(tmp_path: Path) -> None:
    """A tone stays at its pitch, and one above the new limit does not come back as another."""
    for rate, hertz, level in ((8000, 440, 0.5), (44100, 440, 0.5), (48000, 11000, 0.0)):
        tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
        samples = speech_samples({"array": tone, "sampling_rate": rate})
        spectrum = np.abs(np.fft.rfft(samples[1000:-1000] * np.hanning(14000)))
        assert len(samples) == 16000
        assert np.abs(samples[1000:-1000]).max() == pytest.approx(level, abs=0.01)
        if level:
            assert np.argmax(spectrum) * 16000 / 14000 == pytest.approx(hertz, abs=1.2)


def test_bytes_files_and_pipes(tmp_path: Path) -> None:
    wav = write(SOUND, 16000, "WAV")
    path = tmp_path / "a.wav"
    path.write_bytes(wav)
    expected = read_mono(path, 16000)
    read, write_end = os.pipe()

    def fill() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(wav)

    writer = threading.Thread(target=fill)
    writer.start()
    with path.open("rb") as file:
        for audio in (str(path), path, wav, memoryview(wav), io.BytesIO(wav), file,
                      f"/dev/fd/{read}"):  # fmt: skip
            assert np.array_equal(speech_samples(audio), expected)
    writer.join()
    os.close(read)


def test_a_part_of_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(write(voice(2.0, 8000), 8000, "WAV"))
    whole = read_mono(path, None)
    part = read_mono(path, None, start=0.5, end=1.25)
    assert np.array_equal(part, whole[4000:10000])
    assert len(read_mono(path, 16000, start=1.5)) == 8000
    assert len(read_mono(path, 16000, start=1.5, end=2.004)) == 8000  # rounded to hundredths
    for start, end in ((2.0, 2.5), (1.0, 2.1), (5.0, None), (1.0, 1.0), (-1.0, 1.0)):
        with pytest.raises(UserError, match="a.wav: (no|a) span from"):
            read_mono(path, 16000, start=start, end=end)


def test_conversions_are_counted() -> None:
    CONVERSIONS.say()
    for rate, channels in ((8000, 1), (8000, 2), (16000, 2), (16000, 1)):
        speech_samples(write(voice(0.1, rate, channels), rate, "WAV"))
    assert CONVERSIONS.sentences() == [
        "2 recordings of 8000 Hz are resampled to 16000 Hz, for instance the given bytes",
        "2 recordings of 2 channels are mixed to one, for instance the given bytes",
    ]
    CONVERSIONS.say()
    assert CONVERSIONS.sentences() == [] and Policy(None).seen is CONVERSIONS
