"""Multilingual LibriSpeech (OpenSLR 94): books read in eight languages, 16 kHz FLAC or Opus."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.data.clips import Clip, ClipSet, require_known, write_clips
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.tsv import read_columns, read_lines, to_number
from espnet_otreg.errors import UserError

NAMES = {
    "de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian",
    "nl": "dutch", "pl": "polish", "pt": "portuguese",
}  # fmt: skip
LANGUAGES = frozenset(NAMES)
# The publisher's small training sets: lists of ids below train/limited_supervision.
_HANDLES = {
    "train_1h": ("1hr/*/handles.txt",),
    "train_10h": ("9hr/handles.txt", "1hr/*/handles.txt"),
}
SUBSETS = ("train", *_HANDLES, "dev", "test")


def language_dir(corpus_dir: str | Path, language: str) -> Path:
    """``mls_<name>`` (FLAC) or else ``mls_<name>_opus``.

    Raises:
        UserError: if the corpus lacks the language, or neither directory is there.
    """
    require_known(language, LANGUAGES, "language", "MLS")
    flac = Path(corpus_dir) / f"mls_{NAMES[language]}"
    for directory in (flac, flac.with_name(f"{flac.name}_opus")):
        if directory.is_dir():
            return directory
    raise UserError("no such directory, nor with _opus", str(flac), "unpack its archive there")


def _wanted(directory: Path, subset: str) -> set[str] | None:
    """The ids of a small training set; None is all."""
    if subset not in _HANDLES:
        return None
    lists = [
        path
        for pattern in _HANDLES[subset]
        for path in sorted((directory / "limited_supervision").glob(pattern))
    ]
    if not lists:
        raise UserError(
            "no handles.txt in it", str(directory / "limited_supervision"), "unpack it again"
        )
    return {line.strip() for path in lists for _, line in read_lines(path)}


def prepare_mls(
    corpus_dir: str | Path, output_dir: str | Path, language: str, subset: str, jobs: int = 1
) -> PrepLog:
    """Make the data directory of one subset in one language.

    Args:
        corpus_dir: holds ``mls_<name>[_opus]/<train|dev|test>/{transcripts.txt,segments.txt,
            audio/<speaker>/<book>/<speaker>_<book>_<number>.<flac|opus>}``.
        output_dir: is written whole, with ``prep_log.json``.
        language: one of :data:`LANGUAGES`.
        subset: one of :data:`SUBSETS`; ``train_1h`` and ``train_10h`` are the publisher's limited
            supervision sets.
        jobs: files looked at at a time.

    Raises:
        UserError: if a file is missing or has another form.
    """
    require_known(subset, SUBSETS, "subset", "MLS")
    directory = language_dir(corpus_dir, language) / subset.split("_")[0]
    ending = "opus" if directory.parent.name.endswith("_opus") else "flac"
    wanted = _wanted(directory, subset)
    segments = directory / "segments.txt"
    seconds = {
        name: to_number(end, segments) - to_number(start, segments)
        for name, _, start, end in read_columns(segments, 4)
    }
    log = PrepLog(f"mls {subset}", language)
    clips = []
    for name, text in read_columns(directory / "transcripts.txt", 2):
        if wanted is not None and name not in wanted:
            continue
        speaker, book, *_ = [*name.split("_"), ""]
        path = directory / "audio" / speaker / book / f"{name}.{ending}"
        clips.append(Clip(name, path, text, speaker=speaker, seconds=seconds.get(name)))
    for name in sorted((wanted or set()) - {clip.name for clip in clips}):
        log.drop("no_transcript", name)
    return write_clips(output_dir, clips, ClipSet("mls", subset, language, "mls"), log, jobs)
