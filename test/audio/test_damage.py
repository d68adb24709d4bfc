"""Of no recording is a part used in silence, wherever it is cut and whatever is joined to it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from odd_audio import odd_recordings
from odd_common import Odd, voice, write
from odd_encoders import encode

from espnet_otreg.data.audio import audio_seconds, decode, read_mono
from espnet_otreg.data.audio.decoded import Decoded
from espnet_otreg.data.audio.source import Source
from espnet_otreg.errors import UserError

WHOLE = [odd for odd in odd_recordings() if odd.decision == "used" and odd.name != "long.wav"]
# A RIFF size that is too small by two bytes is the true one of a file that is cut by two.
COINCIDENCE = {"riff_small.wav"}


def decoded(odd: Odd, content: bytes) -> Decoded | None:
    """What comes out of changed content; None if it is refused in a sentence."""
    try:
        return decode(Source(content, odd.name, Path(odd.name).suffix))
    except UserError as error:
        assert odd.name in str(error) and "\n" not in str(error)
        return None


@pytest.mark.parametrize("odd", WHOLE, ids=lambda odd: odd.name)
def test_recordings_that_are_cut_or_joined(odd: Odd) -> None:
    whole = decoded(odd, odd.content)
    assert whole is not None
    places = np.random.default_rng(0).integers(1, len(odd.content), 6).tolist()
    for missing in {1, 2, 3, *places} - ({2} if odd.name in COINCIDENCE else set()):
        rest = decoded(odd, odd.content[:-missing])
        if rest is not None and whole.declared:
            assert len(rest.samples) == len(whole.samples), missing  # a tag or padding is gone
    twice = decoded(odd, odd.content * 2)
    assert twice is None or len(twice.samples) >= 2 * len(whole.samples)


def test_seconds_agree_with_samples(tmp_path: Path) -> None:
    for odd in WHOLE:
        path = tmp_path / odd.name
        path.write_bytes(odd.content)
        assert audio_seconds(path) == pytest.approx(odd.samples / 16000, abs=0.6 / 16000), odd.name


@pytest.mark.parametrize(("container", "name"), [("WAV", b"data"), ("AIFF", b"SSND")])
def test_samples_in_two_chunks(container: str, name: bytes) -> None:
    content = write(voice(0.2, 16000), 16000, container)
    whole = decode(Source(content, "a"))
    order = "<" if container == "WAV" else ">"
    again = content[content.index(name) :]
    both = content + again
    both = both[:4] + struct.pack(order + "I", len(both) - 8) + both[8:]
    with pytest.raises(UserError, match="a second chunk of samples begins at byte"):
        decode(Source(both, "a"))
    empty = both[: len(content)] + name + bytes(4)
    assert len(decode(Source(empty, "a")).samples) == len(whole.samples)


@pytest.mark.parametrize("pad", [b"", b"\0", b"x"])
@pytest.mark.parametrize(
    ("container", "samples", "odd"), [("WAV", b"data", b"LIST"), ("AIFF", b"SSND", b"NAME")]
)
def test_a_chunk_of_odd_size_with_and_without_its_padding(
    container: str, samples: bytes, odd: bytes, pad: bytes
) -> None:
    content = write(voice(0.2, 16000), 16000, container)
    order, place = "<" if container == "WAV" else ">", content.index(samples)
    chunk = odd + struct.pack(order + "I", 7) + b"INFOabc" + pad
    with_it = content[:place] + chunk + content[place:]
    with_it = with_it[:4] + struct.pack(order + "I", len(with_it) - 8) + with_it[8:]
    assert np.array_equal(
        decode(Source(with_it, "a")).samples, decode(Source(content, "a")).samples
    )


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
@pytest.mark.parametrize("suffix", [".g722", ".als"])
def test_a_name_that_says_raw_samples_where_there_is_a_header(
    tmp_path: Path, container: str, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(write(voice(0.5, 16000), 16000, container))
    expected, _ = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32")
    assert np.allclose(read_mono(path, 16000), expected, atol=1e-6)
    assert audio_seconds(path) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("container", "codec"), [("tta", "tta"), ("flv", "aac"), ("wv", "wavpack")]
)
def test_two_of_a_rarer_format_in_one_file(container: str, codec: str) -> None:
    content = encode(voice(0.5, 44100), 44100, container, codec)
    whole = decode(Source(content, "a"))
    assert whole.declared and len(whole.samples) >= 22050
    with pytest.raises(UserError, match="a: "):
        decode(Source(content * 2, "a"))
