"""Odd recordings in compressed codings and their containers."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from odd_common import Odd, adts_seconds, mp3_seconds, put, refused, used, voice, write
from odd_encoders import amr, encode, g722, live_webm, ogg_pages, ogg_with


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
