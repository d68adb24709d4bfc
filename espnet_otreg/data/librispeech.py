"""LibriSpeech (OpenSLR 12): English read books, 16 kHz FLAC, a directory for each chapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from espnet_otreg.data.clips import Clip, ClipSet, require_known, write_clips
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.tsv import read_lines
from espnet_otreg.errors import UserError

LANGUAGES = frozenset({"en"})
SUBSETS = (
    "train-clean-100", "train-clean-360", "train-other-500",
    "dev-clean", "dev-other", "test-clean", "test-other",
)  # fmt: skip


def read_speakers(path: str | Path) -> dict[str, str]:
    """Speaker -> subset, from ``SPEAKERS.TXT``; ``;`` starts a comment, ``|`` parts the columns.

    Raises:
        UserError: if the file is missing or a line has too few columns.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "SPEAKERS.TXT"
    >>> _ = path.write_text(";ID |SEX| SUBSET\\n1272 | M | dev-clean | 8.02 | A. B.\\n")
    >>> read_speakers(path)
    {'1272': 'dev-clean'}
    """
    subsets = {}
    for number, line in read_lines(path):
        if line.startswith(";"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 3:
            raise UserError("expected ID | SEX | SUBSET | ...", f"{path}:{number}", "copy it again")
        subsets[cells[0]] = cells[2]
    return subsets


def _chapter(path: Path, log: PrepLog) -> Iterator[Clip]:
    """The clips of one ``SPEAKER-CHAPTER.trans.txt``."""
    recordings = {recording.stem for recording in path.parent.glob("*.flac")}
    for _, line in read_lines(path):
        name, _, text = line.partition(" ")
        recordings.discard(name)
        yield Clip(name, path.with_name(f"{name}.flac"), text, speaker=name.split("-")[0])
    for name in sorted(recordings):
        log.drop("no_transcript", name)


def prepare_librispeech(
    corpus_dir: str | Path, output_dir: str | Path, language: str, subset: str, jobs: int = 1
) -> PrepLog:
    """Make the data directory of one subset.

    Args:
        corpus_dir: holds ``LibriSpeech/SPEAKERS.TXT`` and
            ``LibriSpeech/<subset>/<speaker>/<chapter>/{*.trans.txt,*.flac}``.
        output_dir: is written whole, with ``prep_log.json``.
        language: en.
        subset: one of :data:`SUBSETS`; the domain is ``librispeech_clean`` or
            ``librispeech_other``.
        jobs: files looked at at a time.

    Raises:
        UserError: if the subset is missing, or a speaker in it belongs to another one.
    """
    root = Path(corpus_dir) / "LibriSpeech"
    directory = root / subset
    require_known(language, LANGUAGES, "language", "LibriSpeech")
    require_known(subset, SUBSETS, "subset", "LibriSpeech")
    if not directory.is_dir():
        raise UserError("no such directory", str(directory), f"unpack {subset}.tar.gz there")
    speakers = read_speakers(root / "SPEAKERS.TXT")
    log = PrepLog(f"librispeech {subset}", language)
    clips: list[Clip] = []
    for path in sorted(directory.glob("*/*/*.trans.txt")):
        speaker = path.parents[1].name
        if speakers.get(speaker) != subset:
            raise UserError(
                f"speaker {speaker} is of {speakers.get(speaker, 'no subset')} in SPEAKERS.TXT",
                str(path.parents[1]),
                f"unpack {subset}.tar.gz again",
            )
        clips += _chapter(path, log)
    domain = f"librispeech_{'other' if 'other' in subset else 'clean'}"
    clip_set = ClipSet("librispeech", subset, language, domain)
    return write_clips(output_dir, clips, clip_set, log, jobs)
