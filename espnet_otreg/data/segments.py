"""Kaldi's ``segments``: utterances that are parts of the recordings in ``wav.scp``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from espnet_otreg.data.kaldi_dir import scan_table
from espnet_otreg.utf8 import visible

SEGMENTS = "segments"  # <utterance> <recording> <start> <end>, seconds; an end of -1 is the end
CHANNELS = "reco2file_and_channel"
# How far a segment may go beyond its recording: times are often rounded, to a frame or so.
OVERSHOOT = 0.025
_TIME = re.compile(r"[+-]?([0-9]{1,9}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
_FIRST_CHANNELS = ("A", "0", "1")  # the one channel of a mono recording, by one habit or another


@dataclasses.dataclass(frozen=True)
class SegmentRow:
    """A line of ``segments``; ``end`` is None for the end of the recording."""

    line: int
    key: str
    recording: str
    start: float
    end: float | None


def _parse(value: str, recordings: Collection[str]) -> tuple[str, float, float | None] | str:
    """Recording, start and end, or what is wrong."""
    words = value.split()
    if len(words) != 3:
        return (
            "expected 4 columns, utterance, recording, start and end in seconds, found "
            f"{len(words) + 1}; correct the line"
        )
    if words[0] not in recordings:
        return f"recording '{visible(words[0])}' is not in wav.scp; add it there or correct the id"
    if not all(map(_TIME.fullmatch, words[1:])):
        return f"'{words[1]} {words[2]}' are no two times; write seconds"
    start, end = float(words[1]), float(words[2])
    if end == -1 and start >= 0:
        return words[0], start, None
    if start < 0 or end < 0:
        return f"a time below zero, {words[1]} {words[2]}; only an end may be -1, the recording's"
    if start >= end:
        return f"the end, {words[2]} s, is not after the start, {words[1]} s; correct the times"
    return words[0], start, end


def scan_segments(
    path: str | Path, recordings: Collection[str]
) -> tuple[list[SegmentRow], list[str]]:
    """The rows of ``segments`` and one sentence for every fault.

    Segments may overlap, and a recording may have none.

    Args:
        path: of the table.
        recordings: the keys of ``wav.scp``.

    Raises:
        OSError: if the file cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "segments"
    >>> _ = path.write_text("a call 0.5 2\\nb call 2 -1\\n")
    >>> scan_segments(path, ["call"])[0][1]
    SegmentRow(line=2, key='b', recording='call', start=2.0, end=None)
    """
    rows, errors = scan_table(path)
    segments = []
    for row in rows:
        parsed = _parse(row.value, recordings)
        if isinstance(parsed, str):
            errors.append(f"{path}:{row.line}: utterance '{row.key}': {parsed}")
        else:
            segments.append(SegmentRow(row.line, row.key, *parsed))
    return segments, errors


def span_errors(
    path: str | Path,
    segments: Sequence[SegmentRow],
    seconds: Mapping[str, float],
    longest: float | None = None,
) -> list[str]:
    """One sentence for each segment that is not inside its recording, or is too long.

    Args:
        path: of ``segments``, for messages.
        segments: its rows.
        seconds: lengths of the recordings that could be read; others are not looked at.
        longest: seconds that an utterance may last; None is any length.

    >>> span_errors("segments", [SegmentRow(1, "a", "call", 1.0, 9.0)], {"call": 3.5})
    ["segments:1: utterance 'a': ends at 9 s, after its recording 'call', which lasts 3.50 s; \
correct the times"]
    """
    errors = []
    for row in segments:
        if row.recording not in seconds:
            continue
        length = seconds[row.recording]
        end = length if row.end is None else row.end
        where = f"{path}:{row.line}: utterance '{row.key}'"
        lasts = f"its recording '{row.recording}', which lasts {length:.2f} s; correct the times"
        if row.start >= length:
            errors.append(f"{where}: begins at {row.start:g} s, after {lasts}")
        elif end > length + OVERSHOOT:
            errors.append(f"{where}: ends at {end:g} s, after {lasts}")
        elif longest is not None and end - row.start > longest:
            errors.append(
                f"{where} is {end - row.start:.1f} s long, more than {longest:g} s; "
                "cut or remove it, or raise --max_duration"
            )
    return errors


def _channels(path: str) -> int:
    """How many channels a file has, as far as its header says so."""
    import soundfile

    try:
        return int(soundfile.info(path).channels)
    except (soundfile.LibsndfileError, OSError):
        return 1  # whoever reads it says what is wrong with it


def channel_errors(directory: str | Path) -> list[str]:
    """One sentence if a recording is one channel of several, which is not supported.

    Raises:
        OSError: if the table cannot be read.
    """
    path = Path(directory) / CHANNELS
    if not path.is_file():
        return []
    rows, errors = scan_table(path)
    files = {row.key: row.value for row in scan_table(path.with_name("wav.scp"))[0]}
    for row in rows:
        words = row.value.split()
        if len(words) != 2:
            errors.append(
                f"{path}:{row.line}: expected recording, file and channel; correct the line"
            )
        elif words[1] not in _FIRST_CHANNELS or _channels(files.get(row.key, "")) > 1:
            errors.append(
                f"{path}:{row.line}: '{row.key}' is channel {words[1]} of a file, and channels are "
                "not taken apart here; write each to a mono file and remove this table"
            )
            break
    return errors
