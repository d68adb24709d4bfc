"""Odd recordings whose samples are as good as uncompressed, and whose headers are not."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile
from odd_common import TOO_LONG, Odd, mp3_seconds, put, refused, sized, used, voice, write
from odd_encoders import encode


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
    ):
        yield used(f"{name}.wav", oddity, sized(good, riff, size), seconds)
    both = sized(good, 36 + data // 2, data // 2)
    yield refused("both_small.wav", "both sizes too small: rubbish or samples?", both)
    yield refused("joined.wav", "two WAV files joined", good + good)
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
