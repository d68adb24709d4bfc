"""Every fault of a data directory, each as one sentence that names file and line."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from espnet_otreg.arguments import checked
from espnet_otreg.data.audio import (
    Conversions,
    Policy,
    audio_seconds,
    read_declared,
    read_source,
)
from espnet_otreg.data.kaldi_dir import Row, scan_table
from espnet_otreg.data.languages import canonical_language
from espnet_otreg.data.mark_rules import MarkRule
from espnet_otreg.data.marks import take_marks
from espnet_otreg.data.own_text import RAW_TEXT, mark_errors
from espnet_otreg.data.segments import SEGMENTS, channel_errors, scan_segments, span_errors
from espnet_otreg.data.symbols import uncertain_reading
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.utf8 import visible

REQUIRED = ("wav.scp", "text", "utt2lang")
OPTIONAL = ("text.raw", "utt2spk", "utt2domain", "utt2dur", "utt2num_samples")
_BAD_ID = re.compile(r"[^A-Za-z0-9_.-]")
_SHOWN = 10
SAMPLE_RATE = 16000


@dataclasses.dataclass(frozen=True)
class AudioChecks:
    """What :func:`validate_data` looks at inside the recordings.

    Attributes:
        decode: read every file to its end: empty, truncated or damaged files, NaN samples.
        mix_channels: several channels are no fault, because they are averaged.
        resample: a rate other than 16 kHz is no fault, because it is converted.
        max_seconds: longer utterances are faults; None means any length.
        readable: a recording that is missing, or whose length cannot be read, is a fault.
    """

    decode: bool = False
    mix_channels: bool = True
    resample: bool = True
    max_seconds: float | None = None
    readable: bool = True


NO_AUDIO_CHECKS = AudioChecks()


class DataErrors(UserError):
    """The faults of one data directory, the first ten of them in the message.

    >>> print(DataErrors("data/train", ["text:3: the transcript is empty"]))
    data/train: 1 error: (1) text:3: the transcript is empty
    """

    def __init__(self, directory: str | Path, errors: Sequence[str]) -> None:
        self.errors = list(errors)
        count = f"{len(self.errors)} error{'s' if len(self.errors) > 1 else ''}"
        numbered = [f"({n}) {error}" for n, error in enumerate(self.errors[:_SHOWN], start=1)]
        more = [f"... and {len(self.errors) - _SHOWN} more"] if len(self.errors) > _SHOWN else []
        super().__init__(f"{count}: {' '.join(numbered + more)}", str(directory))


def _key_errors(path: Path, rows: list[Row], reference: Path, keys: set[str]) -> list[str]:
    errors = [
        f"{path}:{row.line}: '{visible(row.key)}' is not in {reference.name}; "
        "remove the line or add it there"
        for row in rows
        if row.key not in keys
    ]
    absent = sorted(keys - {row.key for row in rows})
    errors += [
        f"{path}: '{visible(key)}' of {reference.name} is missing; add a line for it"
        for key in absent
    ]
    return errors


def _wav_errors(
    path: Path, row: Row, checks: AudioChecks, kind: str, seen: Conversions, notices: list[str]
) -> list[str]:
    where = f"{path}:{row.line}: {kind} '{row.key}'"
    if not row.value:
        return [f"{where} has no path; write the path of its audio file"]
    if row.value.endswith("|"):
        return [f"{where} is a command; write the path of an audio file instead"]
    if not Path(row.value).is_file():
        if os.path.exists(row.value):
            return [f"{where}: {visible(row.value)} is no file; write the path of one recording"]
        if not checks.readable:
            return []
        return [f"{where}: the file {visible(row.value)} does not exist; check the path"]
    try:
        if checks.decode:
            policy = Policy(SAMPLE_RATE, checks.mix_channels, checks.resample, seen)
            if not read_declared(read_source(row.value), policy)[1]:
                notices.append(
                    f"{where}: length not declared by {visible(row.value)}; a cut between two "
                    "frames of its coding could not be seen"
                )
        longest = checks.max_seconds
        if longest is not None and (seconds := audio_seconds(row.value)) > longest:
            return [
                f"{where} is {seconds:.1f} s long, more than {longest:g} s; "
                "cut or remove it, or raise --max_duration"
            ]
    except (UserError, OSError) as error:
        return [f"{where}: {sentence_for(error)}"]
    return []


def _segment_errors(directory: Path, recordings: Sequence[Row], checks: AudioChecks) -> list[str]:
    """The faults of ``segments`` by itself, and against the lengths of the recordings."""
    path, table = directory / SEGMENTS, directory / "wav.scp"
    segments, errors = scan_segments(path, {row.key for row in recordings})
    errors += channel_errors(directory)
    used = {segment.recording for segment in segments}
    seconds = {}
    for row in recordings:
        if row.key in used and Path(row.value).is_file():
            try:
                seconds[row.key] = audio_seconds(row.value)
            except (UserError, OSError) as error:
                if checks.readable and not checks.decode:  # else it is said there
                    where = f"{table}:{row.line}: recording '{row.key}'"
                    errors.append(f"{where}: {sentence_for(error)}")
    return errors + span_errors(path, segments, seconds, checks.max_seconds)


def _text_errors(path: Path, row: Row, prepared: bool, rules: Sequence[MarkRule]) -> list[str]:
    where = f"{path}:{row.line}: utterance '{row.key}'"
    if prepared and any(character in "[]<>{}" for character in row.value):
        return [
            f"{where}: a mark, although {RAW_TEXT} says that this transcript is prepared; "
            f"remove {RAW_TEXT} or the marks"
        ]
    is_empty = not any(character.isalnum() for character in row.value)
    # One sign, a note or emoji perhaps, drops its utterance and is no fault of the table.
    if is_empty and not take_marks(row.value, rules).done and not uncertain_reading(row.value):
        return [f"{where}: the transcript is empty; write it or remove the utterance everywhere"]
    return []


def _value_errors(name: str, path: Path, row: Row) -> list[str]:
    where = f"{path}:{row.line}: utterance '{row.key}'"
    if name == "utt2lang":
        try:
            canonical_language(row.value)
        except UserError as error:
            return [f"{where}: {error}"]
    if name in ("utt2spk", "utt2domain") and (not row.value or _BAD_ID.search(row.value)):
        return [f"{where}: expected one word of letters, digits, '_', '-', '.'; mend the line"]
    return []


@checked
def validate_data(
    directory: str | Path,
    checks: AudioChecks = NO_AUDIO_CHECKS,
    rules: Sequence[MarkRule] = (),
    notices: list[str] | None = None,
) -> list[str]:
    """Check a data directory.

    Args:
        directory: with wav.scp, text and utt2lang; utt2spk, utt2domain, text.raw, segments are
            optional.
        checks: what to look at inside the recordings; by default nothing.
        rules: what the user says of marks in transcripts.
        notices: is extended by one sentence for all that is no fault but should be known.

    Returns:
        One sentence for every fault, empty if there is none.
    """
    directory = Path(directory)
    if not directory.is_dir():
        return [f"{directory}: no such directory; check the path"]
    errors, tables = [], {}
    seen, noticed = Conversions(), notices if notices is not None else []
    for name in REQUIRED + OPTIONAL:
        path = directory / name
        if path.is_file():
            tables[name], faults = scan_table(path)
            errors += faults
        elif name in REQUIRED:
            errors.append(
                f"{path}: the file is missing; make it (one '<utterance id> <value>' a line)"
            )
    if "wav.scp" not in tables:
        return errors
    recordings = tables["wav.scp"]
    reference, keys = directory / "wav.scp", {row.key for row in recordings}
    kind = "utterance"
    if (directory / SEGMENTS).is_file():
        # The keys of wav.scp are those of recordings, of which utterances are parts.
        errors += _segment_errors(directory, recordings, checks)
        reference, kind = directory / SEGMENTS, "recording"
        tables[SEGMENTS] = scan_table(reference)[0]
        keys = {row.key for row in tables[SEGMENTS]}
        checks = dataclasses.replace(checks, max_seconds=None)
    if not keys:
        errors.append(f"{reference}: no utterance at all; add lines that begin with its id")
    prepared = RAW_TEXT in tables
    for name, rows in tables.items():
        path = directory / name
        if name != "wav.scp":
            errors += _key_errors(path, rows, reference, keys)
        if name == "text" and not prepared:
            errors += mark_errors(path, rows, rules)
        for row in rows:
            if name == "text":
                errors += _text_errors(path, row, prepared, rules)
            errors += _value_errors(name, path, row)
            if name == "wav.scp":
                errors += _wav_errors(path, row, checks, kind, seen, noticed)
            if name in ("wav.scp", SEGMENTS) and _BAD_ID.search(row.key):
                errors.append(
                    f"{path}:{row.line}: bad utterance id '{visible(row.key)}'; "
                    "use only letters, digits, '_', '-' and '.'"
                )
    noticed += seen.sentences()
    return errors


def require_valid(
    directory: str | Path, rules: Sequence[MarkRule] = (), readable: bool = True
) -> None:
    """Raise unless a data directory is free of faults (audio is not decoded).

    Args:
        directory: to be checked.
        rules: what the user says of marks in transcripts.
        readable: whether a recording that is missing or cannot be read is a fault.

    Raises:
        DataErrors: with every fault.
    """
    errors = validate_data(directory, AudioChecks(readable=readable), rules)
    if errors:
        raise DataErrors(directory, errors)
