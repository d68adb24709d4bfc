"""Any valid data directory to 16 kHz mono WAV files with their lengths."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from espnet_otreg.arguments import checked
from espnet_otreg.data.audio import Conversions, write_wav
from espnet_otreg.data.audio.options import AudioOptions
from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.kaldi_dir import (
    Utterance,
    own_domain,
    read_table,
    write_table,
    write_tables,
)
from espnet_otreg.data.languages import read_languages
from espnet_otreg.data.mark_rules import MarkRule, read_mark_rules
from espnet_otreg.data.own_text import RAW_TEXT, OwnText, read_own_text
from espnet_otreg.data.prep_log import format_counts
from espnet_otreg.data.split import lowest_hash
from espnet_otreg.data.validate import DataErrors, require_valid
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.files import lock_directory, read_json, write_json
from espnet_otreg.ranges import COUNT, JOBS, require_in_range

SAMPLE_RATE = 16000
REPORT = "format_report.json"


@dataclasses.dataclass(frozen=True)
class FormatReport:
    """What :func:`format_data` kept, dropped (reason -> utterance ids) and converted.

    ``marks`` are the ids of utterances with marks, by what was done: ``"[noise] removed"``.
    """

    kept: int
    seconds: float
    dropped: dict[str, list[str]]
    marks: dict[str, list[str]]
    conversions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class AnyDataDir:
    """What :func:`read_any_data_dir` has read.

    Attributes:
        utterances: those that are kept.
        recordings: where the speech of each is.
        dropped: reason -> ids.
        marks: what was done with marks in transcripts -> ids, one for each time.
    """

    utterances: list[Utterance]
    recordings: dict[str, Recording]
    dropped: dict[str, list[str]]
    marks: dict[str, list[str]]


def read_any_data_dir(directory: str | Path, rules: Sequence[MarkRule] = ()) -> AnyDataDir:
    """The utterances of a prepared or of a user's own data directory, and those dropped.

    Where ``text.raw`` is missing the transcripts are the user's: marks are taken out of them, they
    are normalised, and a transcript whose reading is not certain is dropped. Missing domains are
    called after the directory, missing speakers ``<lang>_<domain>_unknown``.

    Args:
        directory: a valid data directory.
        rules: what the user says of marks.
    """
    directory = Path(directory)
    recordings = read_recordings(directory / "wav.scp")
    texts, languages = read_table(directory / "text"), read_languages(directory / "utt2lang")

    def optional(name: str) -> dict[str, str]:
        return read_table(directory / name) if (directory / name).exists() else {}

    raws, speakers, domains = map(optional, (RAW_TEXT, "utt2spk", "utt2domain"))
    own = OwnText(texts, {}, {}) if raws else read_own_text(texts, languages, rules)
    own_name = own_domain(directory)
    utterances: list[Utterance] = []
    for key, text in own.words.items():
        language, domain = languages[key], domains.get(key, own_name)
        speaker = speakers.get(key, f"{language}_{domain}_unknown")
        wav, raw = recordings[key].path, raws.get(key, texts[key])
        utterances.append(Utterance(key, wav, text, raw, language, speaker, domain))
    return AnyDataDir(utterances, recordings, own.dropped, own.marks)


def _convert(item: tuple[Recording, str], options: AudioOptions) -> tuple[str | None, Conversions]:
    """Convert one (source, target); the sentence that says why not, and what was converted."""
    source, target = item
    seen = Conversions()
    if os.path.exists(target):
        return None, seen
    try:
        write_wav(target, source.read(SAMPLE_RATE, options, seen), SAMPLE_RATE)
    except (UserError, OSError) as error:
        if isinstance(error, OSError) and str(error.filename) != source.path:
            raise  # the output disk is full or not writable: no fault of this recording
        return sentence_for(error), seen
    return None, seen


def _run(
    items: Sequence[tuple[Recording, str]], options: AudioOptions, jobs: int
) -> Iterator[tuple[str | None, Conversions]]:
    convert = functools.partial(_convert, options=options)
    if jobs == 1:
        yield from map(convert, items)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from pool.map(convert, items, chunksize=16)


def _by_duration(
    found: AnyDataDir, minimum: float, maximum: float
) -> tuple[list[Utterance], list[str]]:
    kept, errors = [], []
    for utterance in found.utterances:
        try:
            seconds = found.recordings[utterance.utterance_id].seconds()
        except (UserError, OSError) as error:
            errors.append(f"utterance '{utterance.utterance_id}': {sentence_for(error)}")
            continue
        # Nothing at all is a fault that is reported when the file is read, not a short utterance.
        reason = "too_short" if 0 < seconds < minimum else "too_long" if seconds > maximum else ""
        if reason:
            found.dropped.setdefault(reason, []).append(utterance.utterance_id)
        else:
            kept.append(utterance)
    return kept, errors


def _source_digest(found: AnyDataDir, options: AudioOptions) -> str:
    """Changes when any source file does; WAV files made from other sources are thrown away."""
    digest = hashlib.sha256(f"{SAMPLE_RATE} {options}\n".encode())
    for utterance in found.utterances:
        recording = found.recordings[utterance.utterance_id]
        stat = os.stat(recording.path)
        described = " ".join(map(str, recording.described()))
        line = f"{utterance.utterance_id} {described} {stat.st_size} {stat.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()


@checked
def format_data(
    data_dir: str | Path,
    output_dir: str | Path,
    limit: int = 0,
    min_duration: float = 0.1,
    max_duration: float = 30.0,
    mix_channels: bool = True,
    resample: bool = True,
    jobs: int = 1,
    marks: str | Path | None = None,
) -> FormatReport:
    """Convert a data directory to 16 kHz, mono, 16-bit WAV.

    ``output_dir`` gets ``wavs/`` and the tables with utt2dur (seconds) and utt2num_samples; the
    tables are written last, so an interrupted run leaves none and is taken up where it stopped.
    Segments of recordings are cut out. :data:`REPORT` there lists what was dropped, and the marks.

    Args:
        data_dir: a valid data directory; audio in any format and rate.
        output_dir: a data directory of its own.
        limit: utterances kept of each (domain, language), lowest sha256 of the id first; 0 = all.
        min_duration, max_duration: seconds; others are dropped and counted, before ``limit``.
        mix_channels: average several channels; if false they are refused.
        resample: convert other rates; if false they are refused.
        jobs: processes.
        marks: file that says what marks in the transcripts are; None knows the usual ones.

    Raises:
        DataErrors: with every fault of the directory or its audio, marks that nobody knows
            included; no table is written then.
        UserError: if another run writes there, or nothing is left.
    """
    data_dir, output_dir = Path(data_dir), Path(output_dir)
    require_in_range({"limit": limit, "jobs": jobs}, {"limit": COUNT, "jobs": JOBS})
    if not 0 <= min_duration <= max_duration:
        raise UserError(
            "expected 0 <= min_duration <= max_duration",
            f"durations {min_duration:g} to {max_duration:g} s",
        )
    if data_dir.resolve() == output_dir.resolve():
        raise UserError("input and output are one directory", str(data_dir), "choose another one")
    rules = read_mark_rules(marks) if marks is not None else []
    require_valid(data_dir, rules)
    found = read_any_data_dir(data_dir, rules)
    options = AudioOptions(resample, mix_channels)
    digest = _source_digest(found, options)
    kept, errors = _by_duration(found, min_duration, max_duration)
    if errors:
        raise DataErrors(data_dir, errors)
    chosen = lowest_hash(kept, limit)
    if not chosen:
        counts = format_counts({reason: len(ids) for reason, ids in found.dropped.items()})
        raise UserError(
            f"no utterance is left; dropped: {counts}",
            str(data_dir),
            "look at the durations and texts",
        )
    with lock_directory(output_dir):
        wav_dir, state = output_dir / "wavs", output_dir / "format.json"
        if not state.exists() or read_json(state)["source_sha256"] != digest:
            shutil.rmtree(wav_dir, ignore_errors=True)
        wav_dir.mkdir(exist_ok=True)
        write_json(state, {"source_sha256": digest, "sample_rate": SAMPLE_RATE})
        items = [
            (found.recordings[u.utterance_id], str(wav_dir / f"{u.utterance_id}.wav"))
            for u in chosen
        ]
        outcomes = list(_run(items, options, jobs))
        seen = Conversions()
        for _, conversions in outcomes:
            seen.add(conversions)
        errors = [
            f"utterance '{u.utterance_id}': {fault}"
            for u, (fault, _) in zip(chosen, outcomes, strict=True)
            if fault
        ]
        if errors:
            raise DataErrors(data_dir, errors)
        report = _finish(chosen, items, output_dir, found)
        return dataclasses.replace(report, conversions=tuple(seen.sentences()))


def _finish(
    chosen: list[Utterance],
    items: Sequence[tuple[Recording, str]],
    output_dir: Path,
    found: AnyDataDir,
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
    seconds = sum(samples.values()) / SAMPLE_RATE
    report = FormatReport(len(chosen), seconds, found.dropped, found.marks)
    written = dataclasses.asdict(report)
    del written["conversions"]  # a run that is taken up knows of its own only
    write_json(output_dir / REPORT, written)
    return report
