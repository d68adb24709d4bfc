"""Any valid data directory to 16 kHz mono WAV files with their lengths."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds, read_mono, write_wav
from espnet_otreg.data.kaldi_dir import Utterance, read_table, write_table, write_tables
from espnet_otreg.data.languages import read_languages
from espnet_otreg.data.split import lowest_hash
from espnet_otreg.data.transcripts import Dropped, spoken_words
from espnet_otreg.data.validate import DataErrors, require_valid
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.files import lock_directory, read_json, write_json

SAMPLE_RATE = 16000


@dataclasses.dataclass(frozen=True)
class FormatReport:
    """What :func:`format_data` kept and dropped (reason -> utterance ids)."""

    kept: int
    seconds: float
    dropped: dict[str, list[str]]


def read_any_data_dir(directory: str | Path) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances of a prepared or of a user's own data directory, and those dropped.

    Where ``text.raw`` is missing the transcripts are the user's: they are normalised here, and a
    transcript whose reading is not certain is dropped. Missing domains are called after the
    directory, missing speakers ``<lang>_<domain>_unknown``.
    """
    directory = Path(directory)
    wavs, texts = read_table(directory / "wav.scp"), read_table(directory / "text")
    languages = read_languages(directory / "utt2lang")

    def optional(name: str) -> dict[str, str]:
        return read_table(directory / name) if (directory / name).exists() else {}

    raws, speakers, domains = map(optional, ("text.raw", "utt2spk", "utt2domain"))
    own_name = "".join(c if c.isalnum() and c.isascii() else "_" for c in directory.resolve().name)
    utterances: list[Utterance] = []
    dropped: dict[str, list[str]] = {}
    for key, wav in wavs.items():
        language, domain = languages[key], domains.get(key, own_name)
        try:
            text = texts[key] if raws else spoken_words(texts[key], language)
        except Dropped as reason:
            dropped.setdefault(reason.reason, []).append(key)
            continue
        speaker = speakers.get(key, f"{language}_{domain}_unknown")
        raw = raws.get(key, texts[key])
        utterances.append(Utterance(key, wav, text, raw, language, speaker, domain))
    return utterances, dropped


def _convert(item: tuple[str, str], mix_channels: bool) -> str | None:
    """Convert one (source, target); the sentence that says why not."""
    source, target = item
    if os.path.exists(target):
        return None
    try:
        write_wav(target, read_mono(source, SAMPLE_RATE, mix_channels), SAMPLE_RATE)
    except (UserError, OSError) as error:
        if isinstance(error, OSError) and str(error.filename) != source:
            raise  # the output disk is full or not writable: no fault of this recording
        return sentence_for(error)
    return None


def _run(
    items: Sequence[tuple[str, str]], mix_channels: bool, jobs: int
) -> Iterator[tuple[tuple[str, str], str | None]]:
    convert = functools.partial(_convert, mix_channels=mix_channels)
    if jobs == 1:
        yield from zip(items, map(convert, items), strict=True)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from zip(items, pool.map(convert, items, chunksize=16), strict=True)


def _by_duration(
    utterances: Iterable[Utterance], minimum: float, maximum: float, dropped: dict[str, list[str]]
) -> tuple[list[Utterance], list[str]]:
    kept, errors = [], []
    for utterance in utterances:
        try:
            seconds = audio_seconds(utterance.wav)
        except (UserError, OSError) as error:
            errors.append(f"utterance '{utterance.utterance_id}': {sentence_for(error)}")
            continue
        # Nothing at all is a fault that is reported when the file is read, not a short utterance.
        reason = "too_short" if 0 < seconds < minimum else "too_long" if seconds > maximum else ""
        if reason:
            dropped.setdefault(reason, []).append(utterance.utterance_id)
        else:
            kept.append(utterance)
    return kept, errors


def _source_digest(utterances: Iterable[Utterance], mix_channels: bool) -> str:
    """Changes when any source file does; WAV files made from other sources are thrown away."""
    digest = hashlib.sha256(f"{SAMPLE_RATE} {mix_channels}\n".encode())
    for utterance in utterances:
        stat = os.stat(utterance.wav)
        line = f"{utterance.utterance_id} {utterance.wav} {stat.st_size} {stat.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()


def format_data(
    data_dir: str | Path,
    output_dir: str | Path,
    limit: int = 0,
    min_duration: float = 0.1,
    max_duration: float = 30.0,
    mix_channels: bool = False,
    jobs: int = 1,
) -> FormatReport:
    """Convert a data directory to 16 kHz, mono, 16-bit WAV.

    ``output_dir`` gets ``wavs/`` and the tables with utt2dur (seconds) and utt2num_samples; the
    tables are written last, so an interrupted run leaves none and is taken up where it stopped.

    Args:
        data_dir: a valid data directory; audio in any format and rate.
        output_dir: a data directory of its own.
        limit: utterances kept of each (domain, language), lowest sha256 of the id first; 0 = all.
        min_duration, max_duration: seconds; others are dropped and counted, before ``limit``.
        mix_channels: average stereo channels instead of refusing them.
        jobs: processes.

    Raises:
        DataErrors: with every fault of the directory or its audio; no table is written then.
        UserError: if another run writes there, or nothing is left.
    """
    data_dir, output_dir = Path(data_dir), Path(output_dir)
    if limit < 0 or jobs < 1 or not 0 <= min_duration <= max_duration:
        raise UserError(
            "expected limit >= 0, jobs >= 1 and 0 <= min_duration <= max_duration",
            f"limit {limit}, jobs {jobs}, durations {min_duration:g} to {max_duration:g} s",
        )
    if data_dir.resolve() == output_dir.resolve():
        raise UserError("input and output are one directory", str(data_dir), "choose another one")
    require_valid(data_dir)
    everything, dropped = read_any_data_dir(data_dir)
    digest = _source_digest(everything, mix_channels)
    kept, errors = _by_duration(everything, min_duration, max_duration, dropped)
    if errors:
        raise DataErrors(data_dir, errors)
    chosen = lowest_hash(kept, limit)
    if not chosen:
        raise UserError("no utterance is left", str(data_dir), "look at the durations and texts")
    with lock_directory(output_dir):
        wav_dir, state = output_dir / "wavs", output_dir / "format.json"
        if not state.exists() or read_json(state)["source_sha256"] != digest:
            shutil.rmtree(wav_dir, ignore_errors=True)
        wav_dir.mkdir(exist_ok=True)
        write_json(state, {"source_sha256": digest, "sample_rate": SAMPLE_RATE})
        items = [(u.wav, str(wav_dir / f"{u.utterance_id}.wav")) for u in chosen]
        outcomes = list(_run(items, mix_channels, jobs))
        errors = [
            f"utterance '{u.utterance_id}': {fault}"
            for u, (_, fault) in zip(chosen, outcomes, strict=True)
            if fault
        ]
        if errors:
            raise DataErrors(data_dir, errors)
        return _finish(chosen, items, output_dir, dropped)


def _finish(
    chosen: list[Utterance],
    items: Sequence[tuple[str, str]],
    output_dir: Path,
    dropped: dict[str, list[str]],
) -> FormatReport:
    """Remove what an earlier, larger selection left, and write the tables."""
    import soundfile

    targets = {target for _, target in items}
    for path in (output_dir / "wavs").iterdir():
        if str(path) not in targets:
            path.unlink()
    samples = {
        u.utterance_id: soundfile.info(target).frames
        for u, (_, target) in zip(chosen, items, strict=True)
    }
    formatted = [
        dataclasses.replace(u, wav=target) for u, (_, target) in zip(chosen, items, strict=True)
    ]
    write_table(output_dir / "utt2num_samples", {k: str(n) for k, n in samples.items()})
    write_table(output_dir / "utt2dur", {k: f"{n / SAMPLE_RATE:.4f}" for k, n in samples.items()})
    write_tables(output_dir, formatted)
    return FormatReport(len(chosen), sum(samples.values()) / SAMPLE_RATE, dropped)
