"""A corpus of odd recordings with what must become of each, and its table in docs/data.md.

Rewrite the table with ``python test/support/odd_audio.py`` in the repository's root.
"""

from __future__ import annotations

import functools
import io
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from odd_encoders import amr, encode, g722, live_webm, ogg_pages, ogg_with

REFUSED, TOO_LONG = "refused", "too long"
DOCS = Path(__file__).resolve().parents[2] / "docs/data.md"
BEGIN, END = "<!-- odd recordings: begin -->\n", "<!-- odd recordings: end -->\n"


@dataclass(frozen=True)
class Odd:
    """One recording.

    Attributes:
        name: its file name.
        oddity: what is odd about it, for the table.
        content: of the file.
        samples: at 16 kHz that must come out of it; 0 if none must.
        decision: ``"used"``, ``"refused"`` or ``"too long"`` for Whisper's 30 s.
    """

    name: str
    oddity: str
    content: bytes
    samples: int
    decision: str = "used"


def voice(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """A tone and noise, (N,) or (N, channels), the channels being different."""
    count = round(seconds * rate)
    rng = np.random.default_rng(count + channels)
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(count) / rate)[:, None]
    samples = (tone + 0.05 * rng.standard_normal((count, channels))).astype(np.float32)
    return samples if channels > 1 else samples[:, 0]


def write(
    samples: np.ndarray, rate: int, kind: str, subtype: str | None = None, **more: Any
) -> Any:
    """The bytes of a file that libsndfile writes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype, **more)
    return buffer.getvalue()


def put(content: bytes, place: int, value: int, form: str = "<I") -> bytes:
    """The content with another number at a place."""
    return content[:place] + struct.pack(form, value) + content[place + struct.calcsize(form) :]


def sized(wav: bytes, riff: int | None = None, data: int | None = None) -> bytes:
    """A WAV file of 44 bytes of header with other sizes."""
    assert wav[36:40] == b"data"
    wav = wav if riff is None else put(wav, 4, riff)
    return wav if data is None else put(wav, 40, data)


def used(name: str, oddity: str, content: bytes, seconds: float) -> Odd:
    return Odd(name, oddity, content, round(seconds * 16000))


def refused(name: str, oddity: str, content: bytes) -> Odd:
    return Odd(name, oddity, content, 0, REFUSED)


def wav_files() -> Iterator[Odd]:
    for name, rate, subtype in (
        ("u8", 8000, "PCM_U8"), ("ulaw", 8000, "ULAW"), ("alaw", 8000, "ALAW"),
        ("16", 11025, "PCM_16"), ("24", 22050, "PCM_24"), ("32", 44100, "PCM_32"),
        ("float", 48000, "FLOAT"), ("double", 16000, "DOUBLE"),
    ):  # fmt: skip
        wav = write(voice(0.4, rate), rate, "WAV", subtype)
        yield used(f"wav_{name}.wav", f"{rate} Hz, {subtype}", wav, 0.4)
    yield used("stereo.wav", "44100 Hz, 2 channels", write(voice(0.3, 44100, 2), 44100, "WAV"), 0.3)
    yield used("six.wav", "48000 Hz, 6 channels", write(voice(0.3, 48000, 6), 48000, "WAVEX"), 0.3)
    yield used(
        "rifx.wav", "big-endian (RIFX)", write(voice(0.3, 16000), 16000, "WAV", endian="BIG"), 0.3
    )
    sound = voice(0.3, 16000)
    opposite = np.stack([sound, -0.95 * sound], 1)
    yield refused("opposite.wav", "2 channels in opposite phase", write(opposite, 16000, "WAV"))
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        yield refused(
            f"{name}.wav", f"float with {name}",
            write(np.append(sound, np.float32(value)), 16000, "WAV", "FLOAT"),
        )  # fmt: skip
    loud = write(sound * 4, 16000, "WAV", "FLOAT")
    yield used("overshoot.wav", "float up to 1.7", loud, 0.3)
    integers = write(np.rint(sound * 32768), 16000, "WAV", "FLOAT")
    yield refused("integers.wav", "float that holds 16-bit integers", integers)
    yield refused("empty.wav", "0 samples", write(sound[:0], 16000, "WAV"))
    yield Odd("one.wav", "1 sample", write(sound[:1], 16000, "WAV"), 1)
    for name, subtype in (("ms", "MS_ADPCM"), ("ima", "IMA_ADPCM"), ("gsm", "GSM610")):
        rate = 8000 if subtype == "GSM610" else 16000
        content = write(voice(0.4, rate), rate, "WAV", subtype)
        frames = soundfile.info(io.BytesIO(content)).frames
        fact = content.find(b"fact")
        frames = struct.unpack("<I", content[fact + 8 : fact + 12])[0] if fact > 0 else frames
        yield used(f"{name}.wav", subtype, content, frames / rate)
    yield used(
        "mp3.wav", "MP3 inside", encode(voice(0.5, 44100), 44100, "wav", "libmp3lame"),
        mp3_seconds(0.5, 44100),
    )  # fmt: skip


def mp3_seconds(seconds: float, rate: int) -> float:
    """Length of MP3 that nothing declares: whole frames, the delay of 1105 samples included."""
    size = 1152 if rate >= 32000 else 576
    return size * -(-(round(seconds * rate) + 1105) // size) / rate


def adts_seconds(seconds: float, rate: int) -> float:
    """Length of AAC that nothing declares: whole frames, the first being the encoder's delay."""
    return 1024 * (-(-round(seconds * rate) // 1024) + 1) / rate


def wav_sizes() -> Iterator[Odd]:
    seconds = 0.35
    good = write(voice(seconds, 16000), 16000, "WAV", "PCM_16")
    data = len(good) - 44
    for name, oddity, riff, size in (
        ("pipe_sox", "sizes of sox in a pipe", 0x7FFFF024, 0x7FFFF000),
        ("pipe_max", "sizes of 2**31 - 1", 0x7FFFFFFF, 0x7FFFFFFF - 36),
        ("pipe_ffmpeg", "sizes of 2**32 - 1", 0xFFFFFFFF, 0xFFFFFFFF),
        ("pipe_zero", "sizes of 0", 0, 0),
        ("riff_large", "RIFF size 8 bytes too large", data + 44, None),
        ("riff_small", "RIFF size 2 bytes too small", data + 34, None),
        ("data_small", "data size too small, RIFF size true", None, data // 2),
        ("data_large", "data size too large, RIFF size true", None, data + 4096),
        ("both_small", "both sizes too small", 36 + data // 2, data // 2),
    ):
        yield used(f"{name}.wav", oddity, sized(good, riff, size), seconds)
    yield refused("both_large.wav", "both sizes too large", sized(good, data + 9036, data + 9000))
    yield refused("cut.wav", "cut in the middle", good[: len(good) // 2])
    yield refused("cut2.wav", "cut by two bytes", good[:-2])
    yield refused("cut_pipe.wav", "sizes of a pipe, cut in a sample",
                  sized(good, 0x7FFFFFFF, 0x7FFFFFFF)[:-1])  # fmt: skip
    listed = (
        b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"a program v1.0"
    )
    yield used("list.wav", "a chunk behind the samples", sized(good + listed, data + 70), seconds)
    tag = b"ID3\x04\0\0\0\0\x0f\x76" + b"\0TIT2 \xff\xfe" * 220
    yield used("id3.wav", "an ID3 tag behind the end", good + tag[: 10 + 0x7F6], seconds)
    yield used(
        "junk.wav", "20 bytes of rubbish behind the end", good + bytes(range(200, 220)), seconds
    )
    odd = write(voice(0.25, 8000)[:1999], 8000, "WAV", "PCM_U8")
    unpadded = sized(odd[: 44 + 1999], 36 + 1999, 1999)
    yield used("odd.wav", "odd number of bytes without padding", unpadded, 1999 / 8000)
    noise = voice(1.0, 16000)
    yield used("long.wav", "29.9 s", write(np.tile(noise, 30)[:478400], 16000, "WAV"), 29.9)
    long = write(np.tile(voice(1.0, 8000), 31), 8000, "WAV", "ULAW")
    yield Odd("over_long.wav", "31 s at 8000 Hz", long, 0, TOO_LONG)


def big_wav_files() -> Iterator[Odd]:
    sound = voice(0.3, 16000)
    w64, rf64 = write(sound, 16000, "W64", "PCM_16"), write(sound, 16000, "RF64", "PCM_16")
    yield used("true.w64", "W64", w64, 0.3)
    place = w64.find(b"data\xf3\xac") + 16
    yield used("unknown.w64", "W64 whose data size is -1", put(w64, place, 2**64 - 1, "<Q"), 0.3)
    yield refused("cut.w64", "W64, cut", w64[:-1000])
    yield used("true_rf64.wav", "RF64", rf64, 0.3)
    place = rf64.find(b"ds64") + 8
    lost = put(put(rf64, place, 0, "<Q"), place + 8, 0, "<Q")
    yield used("unknown_rf64.wav", "RF64 whose ds64 has no sizes", lost, 0.3)
    yield used("bw64.wav", "BW64", b"BW64" + rf64[4:], 0.3)
    yield refused("cut_rf64.wav", "RF64, cut", rf64[:-1000])


def other_headers() -> Iterator[Odd]:
    sound, seconds = voice(0.3, 16000), 0.3
    aiff = write(sound, 16000, "AIFF", "PCM_16")
    common, ssnd = aiff.find(b"COMM"), aiff.find(b"SSND")
    yield used("true.aiff", "AIFF", aiff, seconds)
    yield used("float.aifc", "AIFC, float", write(sound, 16000, "AIFF", "FLOAT"), seconds)
    yield used("little.aifc", "AIFC, little-endian",
               write(sound, 16000, "AIFF", "PCM_16", endian="LITTLE"), seconds)  # fmt: skip
    yield used("form_small.aiff", "FORM size too small", put(aiff, 4, 999, ">I"), seconds)
    yield used(
        "comm_small.aiff", "COMM declares too few frames", put(aiff, common + 10, 99, ">I"), 0.3
    )
    yield used("comm_large.aiff", "COMM declares too many frames",
               put(aiff, common + 10, 99999, ">I"), seconds)  # fmt: skip
    yield used("ssnd_small.aiff", "SSND size too small", put(aiff, ssnd + 4, 5008, ">I"), seconds)
    streamed = put(put(put(aiff, 4, 0, ">I"), common + 10, 0, ">I"), ssnd + 4, 0, ">I")
    yield used("streamed.aiff", "AIFF without any size", streamed, seconds)
    yield refused("cut.aiff", "AIFF, cut", aiff[:-1000])
    au = write(sound, 16000, "AU", "PCM_16")
    yield used("true.au", "AU", au, seconds)
    yield used("ulaw.au", "AU, 8000 Hz, mu-law", write(voice(0.3, 8000), 8000, "AU", "ULAW"), 0.3)
    yield used("unknown.au", "AU whose size is unknown", put(au, 8, 0xFFFFFFFF, ">I"), seconds)
    yield used("small.au", "AU whose size is too small", put(au, 8, 4000, ">I"), seconds)
    yield refused("large.au", "AU whose size is too large", put(au, 8, 99999, ">I"))
    yield refused("cut.au", "AU, cut", au[:-1000])
    caf = write(sound, 16000, "CAF", "PCM_16")
    place = caf.find(b"data") + 4
    bare = caf[: place + 12 + 9600]
    yield used("true.caf", "CAF", caf, seconds)
    yield used("unknown.caf", "CAF whose data size is -1", put(bare, place, -1, ">q"), seconds)
    yield refused("cut.caf", "CAF, cut", caf[:-1000])
    yield used("alac.caf", "CAF, ALAC", encode(sound, 16000, "caf", "alac"), seconds)
    nist = write(sound, 16000, "NIST", "PCM_16")
    yield used("true.sph", "NIST SPHERE", nist, seconds)
    yield refused("cut.sph", "NIST SPHERE, cut", nist[:-1000])


def flac_files() -> Iterator[Odd]:
    sound, seconds = voice(0.6, 16000), 0.6
    flac = write(sound, 16000, "FLAC", "PCM_16")

    def declaring(frames: int, md5: bool = True) -> bytes:
        changed = put(flac, 21, flac[21] & 0xF0, "B")
        changed = put(changed, 22, frames, ">I")
        return changed if md5 else changed[:26] + bytes(16) + changed[42:]

    yield used("true.flac", "FLAC", flac, seconds)
    yield used("24.flac", "FLAC, 48000 Hz, 24 bit, 2 channels",
               write(voice(0.3, 48000, 2), 48000, "FLAC", "PCM_24"), 0.3)  # fmt: skip
    yield used(
        "unknown.flac", "FLAC, streamed: no length, no checksum", declaring(0, False), seconds
    )
    yield used("small.flac", "FLAC that declares too few samples", declaring(5000), seconds)
    yield used(
        "large.flac", "FLAC that declares too many, checksum true", declaring(50000), seconds
    )
    yield refused("cut.flac", "FLAC, cut", flac[: len(flac) // 2])
    yield refused("cut_streamed.flac", "FLAC, streamed, cut", declaring(0, False)[:-50])
    middle = len(flac) // 2
    yield refused(
        "flipped.flac", "FLAC with a wrong byte", put(flac, middle, flac[middle] ^ 85, "B")
    )


def ogg_files() -> Iterator[Odd]:
    vorbis = write(voice(0.5, 44100, 2), 44100, "OGG", "VORBIS")
    opus = encode(voice(0.5, 48000), 48000, "ogg", "libopus")
    yield used("vorbis.ogg", "Ogg Vorbis, 44100 Hz, 2 channels", vorbis, 0.5)
    yield used("opus.opus", "Ogg Opus", opus, 0.5)
    yield used("opus16.opus", "Ogg Opus of 16000 Hz",
               write(voice(0.5, 16000), 16000, "OGG", "OPUS"), 0.5)  # fmt: skip
    yield used("flac.oga", "Ogg FLAC", encode(voice(0.5, 16000), 16000, "ogg", "flac"), 0.5)
    again = write(voice(0.7, 44100, 2), 44100, "OGG", "VORBIS")
    yield used("chained.ogg", "two Ogg Vorbis files joined", vorbis + again, 1.2)
    yield used("chained.opus", "two Ogg Opus files joined",
               opus + encode(voice(0.7, 48000), 48000, "ogg", "libopus"), 1.2)  # fmt: skip
    pages = ogg_pages(vorbis)
    yield refused("no_end.ogg", "Ogg whose last page is not marked",
                  b"".join(pages[:-1]) + ogg_with(pages[-1], flags=0))  # fmt: skip
    yield refused("no_page.ogg", "Ogg without its last page", b"".join(pages[:-1]))
    yield refused("cut.ogg", "Ogg, cut in a page", vorbis[:-20])
    yield refused("flipped.ogg", "Ogg with a wrong byte", put(vorbis, -60 % len(vorbis), 77, "B"))


def mpeg_files() -> Iterator[Odd]:
    first = encode(voice(0.6, 44100), 44100, "mp3", "libmp3lame")
    second = encode(voice(0.8, 44100), 44100, "mp3", "libmp3lame", options={"id3v2_version": "0"})
    raw = encode(voice(0.8, 44100), 44100, "mp3", "libmp3lame",
                 options={"id3v2_version": "0", "write_xing": "0"})  # fmt: skip
    slow = encode(voice(0.6, 8000), 8000, "mp3", "libmp3lame")
    yield used("true.mp3", "MP3, 44100 Hz", first, 0.6)
    yield used("slow.mp3", "MP3, 8000 Hz (MPEG-2.5)", slow, 0.6)
    yield used("stereo.mp3", "MP3, 48000 Hz, 2 channels",
               encode(voice(0.6, 48000, 2), 48000, "mp3", "libmp3lame"), 0.6)  # fmt: skip
    yield used("joined.mp3", "two MP3 files joined", first + second, 1.4)
    # The first file's padding at its end is no end any more.
    frames = 1152 * -(-(round(0.6 * 44100) + 1105) // 1152) / 44100
    yield used("joined_raw.mp3", "MP3 joined with one without header", first + raw,
               frames - 1105 / 44100 + mp3_seconds(0.8, 44100))  # fmt: skip
    yield used("raw.mp3", "MP3 without header", raw, mp3_seconds(0.8, 44100))
    place = first.find(b"Xing") if b"Xing" in first else first.find(b"Info")
    count = struct.unpack(">I", first[place + 8 : place + 12])[0]
    yield used("fewer.mp3", "MP3 that declares half of its frames",
               put(first, place + 8, count // 2, ">I"), frames - 1105 / 44100)  # fmt: skip
    yield refused(
        "more.mp3", "MP3 that declares more frames", put(first, place + 8, count + 9, ">I")
    )
    yield refused("cut.mp3", "MP3, cut", first[: len(first) // 2])
    yield refused("cut_raw.mp3", "MP3 without header, cut in a frame", raw[:-10])
    yield refused("lost.mp3", "MP3 with 40 bytes missing", raw[:2000] + raw[2040:])
    yield used("tagged.mp3", "MP3 with ID3v1 and ID3v2", first + b"TAG" + b" " * 125, 0.6)
    adts = encode(voice(0.6, 16000), 16000, "adts", "aac")
    yield used("true.aac", "AAC in ADTS", adts, adts_seconds(0.6, 16000))
    yield refused("cut.aac", "AAC in ADTS, cut", adts[:-7])


def boxed_files() -> Iterator[Odd]:
    m4a = encode(voice(0.6, 44100), 44100, "ipod", "aac")
    yield used("true.m4a", "M4A, AAC", m4a, 0.6)
    yield used("alac.m4a", "M4A, ALAC", encode(voice(0.6, 16000), 16000, "ipod", "alac"), 0.6)
    yield used("six.m4a", "M4A, AAC, 48000 Hz, 6 channels",
               encode(voice(0.5, 48000, 6), 48000, "ipod", "aac"), 0.5)  # fmt: skip
    yield refused(
        "no_moov.m4a", "M4A, cut before its table of contents", m4a[: m4a.find(b"moov") - 4]
    )
    pieces = encode(voice(0.6, 16000), 16000, "mp4", "aac",
                    options={"movflags": "empty_moov+default_base_moof"})  # fmt: skip
    # Without an edit list the delay of the encoder is sound like the rest.
    yield used("pieces.mp4", "MP4 in pieces (moof)", pieces, adts_seconds(0.6, 16000))
    yield refused("cut.mp4", "MP4 in pieces, cut in its sound", pieces[:-300])
    webm = encode(voice(0.6, 48000), 48000, "webm", "libopus")
    yield used("true.webm", "WebM, Opus", webm, 0.6)
    yield refused("cut.webm", "WebM, cut", webm[:-300])
    live = live_webm(voice(0.6, 48000), 48000)
    yield used("live.webm", "WebM of a live recorder: no sizes", live, 0.6)
    yield refused("cut_live.webm", "WebM of a live recorder, cut", live[:-10])
    yield used(
        "flac.mka", "Matroska, FLAC", encode(voice(0.4, 16000), 16000, "matroska", "flac"), 0.4
    )
    yield used("true.wv", "WavPack", encode(voice(0.4, 16000), 16000, "wv", "wavpack"), 0.4)


def telephone_files() -> Iterator[Odd]:
    yield used("true.amr", "AMR, 8000 Hz", amr(25, wide=False), 0.5)
    yield used("wide.awb", "AMR wide band, 16000 Hz", amr(25, wide=True), 0.5)
    yield refused("cut.amr", "AMR, cut in a frame", amr(25, wide=False)[:-5])
    yield used("true.g722", "G.722", g722(voice(0.5, 16000)), 0.5)
    yield refused("text.wav", "a text", b"this is no audio at all\n" * 20)
    yield refused("nothing.wav", "0 bytes", b"")


@functools.cache
def odd_recordings() -> tuple[Odd, ...]:
    """All of them; making them takes about a second."""
    makers = (
        wav_files, wav_sizes, big_wav_files, other_headers, flac_files, ogg_files, mpeg_files,
        boxed_files, telephone_files,
    )  # fmt: skip
    return tuple(odd for maker in makers for odd in maker())


def write_corpus(directory: Path) -> dict[str, Path]:
    """Write every recording; file name -> path."""
    paths = {}
    for odd in odd_recordings():
        assert odd.name not in paths
        paths[odd.name] = directory / odd.name
        paths[odd.name].write_bytes(odd.content)
    return paths


def table() -> str:
    """The table of docs/data.md."""
    lines = ["| file | what is odd | samples at 16 kHz | decision |", "|---|---|---|---|"]
    for odd in odd_recordings():
        samples = odd.samples or ""
        lines.append(f"| `{odd.name}` | {odd.oddity} | {samples} | {odd.decision} |")
    return "\n".join(lines) + "\n"


def table_in_docs() -> str:
    """The table that docs/data.md has now."""
    return DOCS.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    text = DOCS.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.S)
    DOCS.write_text(pattern.sub(lambda _: BEGIN + table() + END, text), encoding="utf-8")
    print(f"{DOCS}: {len(odd_recordings())} recordings", file=sys.stderr)


if __name__ == "__main__":
    main()
