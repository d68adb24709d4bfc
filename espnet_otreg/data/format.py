"""Any valid data directory to 16 kHz mono WAV files with their lengths."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from espnet_otreg.arguments import checked
from espnet_otreg.data.audio import Conversions, read_source, write_wav
from espnet_otreg.data.audio.decode import seconds_of
from espnet_otreg.data.audio.options import AudioOptions
from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.digests import UNREADABLE, UTT2DIGEST, part_digest
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
from espnet_otreg.files import lock_directory, read_json, sha256_file, write_json
from espnet_otreg.ranges import COUNT, JOBS, require_in_range

SAMPLE_RATE = 16000
REPORT = "format_report.json"
STATE = "format.json"


@dataclasses.dataclass(frozen=True)
class FormatReport:
    """What :func:`format_data` kept, dropped (reason -> utterance ids) and converted.

    ``marks`` are the ids of utterances with marks, by what was done: ``"[noise] removed"``.
    ``unreadable`` says of each utterance that was left out for its recording why.
    """

    kept: int
    seconds: float
    dropped: dict[str, list[str]]
    marks: dict[str, list[str]]
    conversions: tuple[str, ...] = ()
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)


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


@dataclasses.dataclass(frozen=True)
class Converted:
    """One recording as it was converted: why not, what was done to it, and sha256 of the WAV."""

    fault: str
    seen: Conversions
    digest: str = ""


@dataclasses.dataclass(frozen=True)
class _Item:
    """A recording, the WAV to make of it, and what sha256 that had if it was finished before."""

    source: Recording
    target: str
    before: str | None


def _convert(item: _Item, options: AudioOptions) -> Converted:
    """Convert one recording; a WAV that an earlier run has made is kept, unless it has changed."""
    source, target = item.source, item.target
    seen = Conversions()
    if os.path.exists(target):
        digest = sha256_file(target)
        if item.before in (None, digest):
            return Converted("", seen, digest)
    try:
        samples = source.read(SAMPLE_RATE, options, seen)
        return Converted("", seen, write_wav(target, samples, SAMPLE_RATE))
    except (UserError, OSError) as error:
        if isinstance(error, OSError) and str(error.filename) != source.path:
            raise  # the output disk is full or not writable: no fault of this recording
        return Converted(sentence_for(error), seen)


def _run(items: Sequence[_Item], options: AudioOptions, jobs: int) -> Iterator[Converted]:
    convert = functools.partial(_convert, options=options)
    if jobs == 1:
        yield from map(convert, items)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from pool.map(convert, items, chunksize=16)


@dataclasses.dataclass(frozen=True)
class _Looked:
    """What the recordings are: those to keep, digests of their content, and faults by id."""

    kept: list[Utterance]
    digests: dict[str, str]
    faults: dict[str, str]


def _look(found: AnyDataDir, minimum: float, maximum: float) -> _Looked:
    """Measure and name the content of every recording, which is read once for both."""
    looked = _Looked([], {}, {})
    files: dict[str, str] = {}  # of recordings in parts, which are read once for all of these
    for utterance in found.utterances:
        key = utterance.utterance_id
        recording = found.recordings[key]
        try:
            if recording.start is None and recording.end is None:
                source = read_source(recording.path)
                seconds = seconds_of(source)
                looked.digests[key] = hashlib.sha256(source.content).hexdigest()
            else:
                if recording.path not in files:
                    files[recording.path] = sha256_file(recording.path)
                seconds = recording.seconds()
                looked.digests[key] = part_digest(files[recording.path], recording)
        except (UserError, OSError) as error:
            looked.faults[key] = sentence_for(error)
            continue
        # Nothing at all is a fault that is reported when the file is read, not a short utterance.
        reason = "too_short" if 0 < seconds < minimum else "too_long" if seconds > maximum else ""
        if reason:
            found.dropped.setdefault(reason, []).append(key)
        else:
            looked.kept.append(utterance)
    return looked


def _begin(output_dir: Path, conversion: str, sources: Mapping[str, str]) -> dict[str, str]:
    """Remove the WAV files that the recordings would not give any more; sha256 of the others.

    :data:`STATE` says of what content each WAV was made, and is written before any of them. It
    names their own content only when a run has ended: of an interrupted one that is not known.
    """
    wav_dir, state = output_dir / "wavs", output_dir / STATE
    wav_dir.mkdir(exist_ok=True)
    before = read_json(state) if state.exists() else {}
    same = before.get("conversion") == conversion
    made_of = before.get("sources", {}) if same else {}
    for path in wav_dir.iterdir():
        if path.stem not in sources or made_of.get(path.stem) != sources[path.stem]:
            path.unlink()
    (output_dir / UTT2DIGEST).unlink(missing_ok=True)  # comes back at the end, with what is true
    write_json(state, {"conversion": conversion, "sources": sources})
    return before.get("wavs", {}) if same else {}


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
    skip_unreadable: bool = False,
) -> FormatReport:
    """Convert a data directory to 16 kHz, mono, 16-bit WAV.

    ``output_dir`` gets ``wavs/`` and the tables with utt2dur (seconds), utt2num_samples and
    utt2digest (sha256 of each WAV); the tables are written last, so an interrupted run leaves none
    and is taken up where it stopped. A later run converts what holds something else than before,
    and nothing else. Segments of recordings are cut out. :data:`REPORT` there lists what was
    dropped, and the marks.

    Args:
        data_dir: a valid data directory; audio in any format and rate.
        output_dir: a data directory of its own.
        limit: utterances kept of each (domain, language), lowest sha256 of the id first; 0 = all.
        min_duration, max_duration: seconds; others are dropped and counted, before ``limit``.
        mix_channels: average several channels; if false they are refused.
        resample: convert other rates; if false they are refused.
        jobs: processes.
        marks: file that says what marks in the transcripts are; None knows the usual ones.
        skip_unreadable: leave out utterances whose recording is missing or cannot be read, and
            list them with the reason in the table ``unreadable``, which everything made from
            ``output_dir`` counts as a part of it; if false they are errors.

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
    require_valid(data_dir, rules, readable=not skip_unreadable)
    found = read_any_data_dir(data_dir, rules)
    options = AudioOptions(resample, mix_channels)
    looked = _look(found, min_duration, max_duration)
    faults = looked.faults
    if faults and not skip_unreadable:
        raise _faults(data_dir, faults)
    chosen = lowest_hash(looked.kept, limit)
    if not chosen:
        raise _nothing_left(data_dir, found, faults)
    with lock_directory(output_dir):
        conversion = f"{SAMPLE_RATE} {options}"
        sources = {u.utterance_id: looked.digests[u.utterance_id] for u in chosen}
        before = _begin(output_dir, conversion, sources)
        targets = {key: str(output_dir / "wavs" / f"{key}.wav") for key in sources}
        items = [_Item(found.recordings[k], targets[k], before.get(k)) for k in sources]
        outcomes = dict(zip(sources, _run(items, options, jobs), strict=True))
        seen = Conversions()
        for outcome in outcomes.values():
            seen.add(outcome.seen)
        faults |= {key: outcome.fault for key, outcome in outcomes.items() if outcome.fault}
        if faults and not skip_unreadable:
            seen.say()  # the next run finds these WAVs made and has nothing to say of them
            raise _faults(data_dir, faults)
        made = [
            dataclasses.replace(u, wav=targets[u.utterance_id])
            for u in chosen
            if u.utterance_id not in faults
        ]
        if not made:
            raise _nothing_left(data_dir, found, faults)
        digests = {u.utterance_id: outcomes[u.utterance_id].digest for u in made}
        report = _finish(made, digests, output_dir, found, faults)
        state = {"conversion": conversion, "sources": sources, "wavs": digests}
        write_json(output_dir / STATE, state)
        return dataclasses.replace(report, conversions=tuple(seen.sentences()))


def _faults(data_dir: Path, faults: Mapping[str, str]) -> DataErrors:
    errors = [f"utterance '{key}': {fault}" for key, fault in sorted(faults.items())]
    return DataErrors(data_dir, errors)


def _nothing_left(data_dir: Path, found: AnyDataDir, faults: Mapping[str, str]) -> UserError:
    counts = {reason: len(ids) for reason, ids in found.dropped.items()}
    counts |= {"unreadable": len(faults)} if faults else {}
    return UserError(
        f"no utterance is left; dropped: {format_counts(counts)}",
        str(data_dir),
        "look at the durations and texts",
    )


def _finish(
    made: Sequence[Utterance],
    digests: Mapping[str, str],
    output_dir: Path,
    found: AnyDataDir,
    unreadable: dict[str, str],
) -> FormatReport:
    """Write the tables."""
    import soundfile

    samples = {u.utterance_id: soundfile.info(u.wav).frames for u in made}
    write_table(output_dir / "utt2num_samples", {k: str(n) for k, n in samples.items()})
    write_table(output_dir / "utt2dur", {k: f"{n / SAMPLE_RATE:.4f}" for k, n in samples.items()})
    write_tables(output_dir, made)
    if unreadable:
        write_table(output_dir / UNREADABLE, unreadable)
    else:
        (output_dir / UNREADABLE).unlink(missing_ok=True)
    write_table(output_dir / UTT2DIGEST, digests)
    seconds = sum(samples.values()) / SAMPLE_RATE
    report = FormatReport(len(made), seconds, found.dropped, found.marks, unreadable=unreadable)
    written = dataclasses.asdict(report)
    del written["conversions"]  # a run that is taken up knows of its own only
    write_json(output_dir / REPORT, written)
    return report
