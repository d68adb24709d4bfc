"""The content of recordings by name: ``utt2digest``, one sha256 for each utterance of a directory.

What depends on a recording names this digest, never path, size or time: a file that holds the same
is the same wherever it lies, and one that was replaced in place is another. The digest of an
utterance that has a file of its own is that of the file, as ``sha256sum`` prints it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.files import sha256_file

UTT2DIGEST = "utt2digest"
INPUTS = "inputs"  # in config.yaml of a training: digests of what it has read, by path
UNREADABLE = "unreadable"  # the utterances that format_data --skip_unreadable has left out


def part_digest(file_digest: str, recording: Recording) -> str:
    """The digest of a recording, given that of its file: of a part, the times count too.

    >>> part_digest("7f", Recording("a.wav"))
    '7f'
    >>> part_digest("7f", Recording("a.wav", 1.0, 2.0))[:8]
    'f98286fa'
    """
    if recording.start is None and recording.end is None:
        return file_digest
    times = f"{recording.start or 0.0:.6f} {recording.end}"
    return hashlib.sha256(f"{file_digest} {times}".encode()).hexdigest()


def digests_of(recordings: Mapping[str, Recording]) -> dict[str, str]:
    """The digest of each utterance; every file is read once.

    Raises:
        UserError: if a file cannot be read, naming the utterance.
    """
    files: dict[str, str] = {}
    found = {}
    for key, recording in recordings.items():
        if recording.path not in files:
            try:
                files[recording.path] = sha256_file(recording.path)
            except OSError as error:
                where = f"utterance {key} ({recording})"
                raise UserError(
                    f"the recording cannot be read: {sentence_for(error)}", where
                ) from error
        found[key] = part_digest(files[recording.path], recording)
    return found


def read_digests(
    directory: str | Path, recordings: Mapping[str, Recording] | None = None
) -> dict[str, str]:
    """The digests of a directory with ``wav.scp``, from ``utt2digest`` as far as that has them.

    Args:
        directory: stage 2 (``format_data``) writes ``utt2digest``; elsewhere files are read.
        recordings: of the utterances in question, if they have been read already.

    Raises:
        UserError: if a table is malformed or a file cannot be read.
    """
    directory = Path(directory)
    wanted = read_recordings(directory / "wav.scp") if recordings is None else recordings
    table = directory / UTT2DIGEST
    known = read_table(table) if table.is_file() else {}
    missing = digests_of({key: r for key, r in wanted.items() if key not in known})
    return {key: known.get(key) or missing[key] for key in wanted}


def trained_without(values: Mapping[str, Any]) -> str | None:
    """The digest of the list of recordings that a training left out; empty if there was no list.

    Args:
        values: what ``config.yaml`` says of the training; None is given for one that does not say
            what it has read, such as a packed one.

    >>> trained_without({"inputs": {"dump/train/unreadable": "7f", "dump/train/text": "a0"}})
    '7f'
    >>> trained_without({"inputs": {"dump/train/text": "a0"}})
    ''
    """
    inputs = values.get(INPUTS)
    if inputs is None:
        return None
    lists = sorted({v for path, v in inputs.items() if Path(path).name == UNREADABLE})
    return " ".join(lists)


def last_change(paths: Iterable[str]) -> str:
    """sha256 over the status of files: their sizes, and when the system saw them change last.

    It says when to look at their content again, not what that is: it is another one after every
    write, whatever time a program has set afterwards (``touch -r``), and after a copy.

    Args:
        paths: of files; one that is missing counts as such.

    >>> last_change(["no/such.wav"]) == last_change(["no/other.wav"])
    False
    """
    total = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(path)
            line = f"{path} {status.st_size} {status.st_ctime_ns} {status.st_ino}\n"
        except OSError:
            line = f"{path} missing\n"
        total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def recordings_changed(directory: str | Path) -> str:
    """:func:`last_change` of all files that the ``wav.scp`` of a directory lists.

    Raises:
        UserError: if the table is malformed.
    """
    return last_change(sorted(set(read_table(Path(directory) / "wav.scp").values())))
