"""Whole recordings of any format, compared with what they declare."""

from __future__ import annotations

import dataclasses
import functools
import io

import numpy as np

from espnet_otreg.data.audio.boxes import check_matroska, check_mp4, is_mp4
from espnet_otreg.data.audio.chunks import begins_recording, refuse_another
from espnet_otreg.data.audio.decoded import Decoded, damaged, truncated, unknown
from espnet_otreg.data.audio.ffmpeg import decode_container, decode_packets, is_short_of
from espnet_otreg.data.audio.flac import decode_flac
from espnet_otreg.data.audio.frames import (
    AMR_STARTS,
    Frame,
    Link,
    adts_frame,
    amr_frame,
    id3_bytes,
    mpeg_frame,
    mpeg_links,
    split_frames,
)
from espnet_otreg.data.audio.headers import Trued, true_header
from espnet_otreg.data.audio.ogg import OggLink, ogg_links
from espnet_otreg.data.audio.source import Source

G722_RATE, G722_BYTES_PER_SECOND = 16000, 8000
ALS_RATE = 11025  # raw unsigned 8-bit samples of the drascula speech files
_MPEG_CODECS = {1: "mp1float", 2: "mp2float", 3: "mp3float"}
# Of what no reader is written for here, the formats that say how long they are.
_OTHERS = ("asf", "tta", "wv", "ape", "avi", "flv", "caf", "wav", "nistsphere")


def _raw_suffix(source: Source) -> str:
    """The suffix, unless the content itself says that it is something else than raw samples."""
    content = source.content
    is_other = (
        begins_recording(content)
        or is_mp4(content)
        or content.startswith((b"ID3", b"\x1aE\xdf\xa3", *AMR_STARTS))
    )
    return "" if is_other else source.suffix


def _decode_g722(source: Source) -> Decoded:
    if not source.content:
        return Decoded(np.zeros((0, 1), np.float32), G722_RATE, False)
    decoded = decode_packets("g722", [source.content], source.name, sample_rate=G722_RATE)
    return dataclasses.replace(decoded, declared=False)


def _decode_als(source: Source) -> Decoded:
    raw = np.frombuffer(source.content, np.uint8).astype(np.float32)
    return Decoded(((raw - np.float32(128)) / np.float32(128))[:, None], ALS_RATE, False)


def _decode_trued(source: Source, trued: Trued) -> Decoded:
    """Decode what has a header that is true by now."""
    import soundfile

    name = source.name
    if trued.mpeg is not None:
        return _decode_mpeg(Source(trued.mpeg, name), 0)
    lossy = False  # what libsndfile reads of these formats has integers, or exact floats
    try:
        samples, rate = soundfile.read(io.BytesIO(trued.content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, ValueError, RuntimeError):
        if trued.frames == 0 and trued.plain:
            return Decoded(np.zeros((0, 1), np.float32), trued.rate)
        decoded, seconds = decode_container(trued.content, name, None, _OTHERS)
        if trued.frames is None and is_short_of(decoded, seconds):
            raise truncated(name, "it declares more than there is") from None
        samples, rate, lossy = decoded.samples, decoded.rate, decoded.lossy
    if trued.frames is not None:
        if len(samples) < trued.frames:
            raise truncated(name, f"{len(samples)} of {trued.frames} samples are there")
        samples = samples[: trued.frames]  # the last block of a compressed coding is filled up
    return Decoded(samples, int(rate), trued.declared, lossy)


def _cut_out(content: bytes, frames: list[Frame]) -> list[bytes]:
    return [content[frame.start : frame.start + frame.size] for frame in frames]


def _joined(parts: list[Decoded], name: str) -> Decoded:
    """The parts of one file, which must be alike."""
    if len({(part.rate, part.samples.shape[1]) for part in parts}) > 1:
        raise damaged(name, "it is joined of recordings of different rates or channels")
    samples = np.concatenate([part.samples for part in parts])
    declared, lossy = (part.declared for part in parts), (part.lossy for part in parts)
    return Decoded(samples, parts[0].rate, all(declared), any(lossy))


def _decode_link(source: Source, link: Link) -> Decoded:
    layer = link.frames[0].kind[1]
    packets = _cut_out(source.content, link.frames)
    decoded = decode_packets(_MPEG_CODECS[layer], packets, source.name)
    expected = sum(frame.samples for frame in link.frames)
    if len(decoded.samples) != expected:
        raise damaged(source.name, f"{len(decoded.samples)} of {expected} samples can be decoded")
    kept = decoded.samples[link.skip : max(link.skip, expected - link.drop)]
    return Decoded(kept, decoded.rate, link.declared, decoded.lossy)


def _decode_mpeg(source: Source, place: int) -> Decoded:
    links = [link for link in mpeg_links(source.content, place, source.name) if link.frames]
    if not links:
        raise unknown(source.name)
    return _joined([_decode_link(source, link) for link in links], source.name)


def _decode_adts(source: Source, place: int) -> Decoded:
    frames = split_frames(source.content, place, adts_frame, source.name)
    decoded = decode_packets("aac", _cut_out(source.content, frames), source.name)
    expected = sum(frame.samples for frame in frames)
    # Spectral band replication doubles the rate without a word in the frame's header.
    if len(decoded.samples) not in (expected, 2 * expected):
        raise damaged(source.name, f"{len(decoded.samples)} of {expected} samples can be decoded")
    return dataclasses.replace(decoded, declared=False)


def _amr_frames(source: Source) -> tuple[bytes, list[Frame]]:
    magic = next(start for start in AMR_STARTS if source.content.startswith(start))
    parse = functools.partial(amr_frame, wide=AMR_STARTS[magic] == 16000)
    return magic, split_frames(source.content, len(magic), parse, source.name)


def _decode_amr(source: Source) -> Decoded:
    magic, frames = _amr_frames(source)
    rate = AMR_STARTS[magic]
    codec = "amrwb" if rate == 16000 else "amrnb"
    packets = _cut_out(source.content, frames)
    decoded = decode_packets(codec, packets, source.name, sample_rate=rate)
    return Decoded(decoded.samples, rate, False)


def _decode_ogg_link(source: Source, link: OggLink) -> Decoded:
    import soundfile

    name, content = source.name, source.content[link.start : link.end]
    if link.coding == "vorbis" and link.streams == 1:
        try:
            with soundfile.SoundFile(io.BytesIO(content)) as file:
                samples = file.read(dtype="float32", always_2d=True)
                if len(samples) != file.frames:
                    raise damaged(name, f"{len(samples)} of {file.frames} samples can be decoded")
                return Decoded(samples, file.samplerate, lossy=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise damaged(name, "its Vorbis stream cannot be decoded") from error
    decoded, _ = decode_container(content, name, "ogg")
    if link.coding != "opus":
        return decoded
    samples = decoded.samples[: max(0, link.granules - link.preskip())]
    return dataclasses.replace(decoded, samples=samples)


def _decode_ogg(source: Source) -> Decoded:
    links = ogg_links(source.content, source.name)
    return _joined([_decode_ogg_link(source, link) for link in links], source.name)


def _decode_other(source: Source) -> Decoded:
    content, name = source.content, source.name
    declared = True
    formats: tuple[str, ...] = _OTHERS
    if is_mp4(content):
        declared = check_mp4(content, name)
        formats = ("mov,mp4,m4a,3gp,3g2,mj2",)
    elif content.startswith(b"\x1aE\xdf\xa3"):
        declared = check_matroska(content, name)
        formats = ("matroska,webm",)
    else:
        refuse_another(content, 1, name)
    decoded, seconds = decode_container(content, name, None, formats)
    if is_short_of(decoded, seconds):
        found = len(decoded.samples) / decoded.rate
        raise truncated(name, f"{found:.2f} of {seconds:.2f} s are there")
    return dataclasses.replace(decoded, declared=declared)


def decode(source: Source) -> Decoded:
    """Decode a whole recording.

    ``.g722`` and ``.als`` (raw unsigned 8-bit, 11,025 Hz) are known by their names unless they
    begin as another format does, everything else by its content.

    Raises:
        UserError: if it is no audio, or less can be decoded than it declares, or a frame, page or
            box is damaged or not whole.
    """
    suffix = _raw_suffix(source)
    if suffix == ".g722":
        return _decode_g722(source)
    if suffix == ".als":
        return _decode_als(source)
    trued = true_header(source)
    if trued is not None:
        return _decode_trued(source, trued)
    content = source.content
    place = id3_bytes(content)
    if content.startswith(b"fLaC", place):
        return decode_flac(dataclasses.replace(source, content=content[place:]))
    if content.startswith(b"OggS"):
        return _decode_ogg(source)
    if content.startswith(tuple(AMR_STARTS)):
        return _decode_amr(source)
    place += len(content[place:]) - len(content[place:].lstrip(b"\0"))  # padding of a tag
    if adts_frame(content, place) is not None:
        return _decode_adts(source, place)
    if mpeg_frame(content, place) is not None:
        return _decode_mpeg(source, place)
    return _decode_other(source)


def seconds_of(source: Source) -> float:
    """Length in seconds of what :func:`decode` gives, by the frames where these are certain.

    Raises:
        UserError: as :func:`decode`, as far as it is seen.
    """
    content = source.content
    suffix = _raw_suffix(source)
    if suffix == ".g722":
        return len(content) / G722_BYTES_PER_SECOND
    if suffix == ".als":
        return len(content) / ALS_RATE
    trued = true_header(source)
    if trued is not None and trued.plain and trued.frames is not None and trued.rate:
        return trued.frames / trued.rate
    place = id3_bytes(content)
    if trued is None and mpeg_frame(content, place) and not adts_frame(content, place):
        links = [link for link in mpeg_links(content, place, source.name) if link.frames]
        return sum(link.samples() / link.frames[0].rate for link in links)
    if content.startswith(tuple(AMR_STARTS)):
        return len(_amr_frames(source)[1]) / 50
    decoded = decode(source)
    return len(decoded.samples) / decoded.rate
