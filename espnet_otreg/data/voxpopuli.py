"""VoxPopuli: speeches in the European Parliament, transcribed in 16 languages, 16 kHz."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.data.clips import Clip, ClipSet, require_known, write_clips
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.tsv import read_rows
from espnet_otreg.data.unpack import unpack

LANGUAGES = frozenset("cs de en es et fi fr hr hu it lt nl pl ro sk sl".split())
SUBSETS = ("train", "dev", "test")
_COLUMNS = ("id", "raw_text", "normalized_text", "speaker_id")
_NOBODY = ("", "None", "none")


def _recordings(directory: Path, subset: str, output_dir: str | Path) -> dict[str, Path]:
    """Audio files by id: cut by the publisher's script, or in the archives of its hub."""
    archives = sorted((directory / subset).glob(f"{subset}_part_*.tar.gz"))
    if not archives:
        return {path.stem: path for path in sorted(directory.glob("[0-9]*/*.ogg"))}
    parts = []
    for archive in archives:
        part = archive.with_name(archive.name.removesuffix(".tar.gz"))
        if not part.is_dir():
            unpack(archive, Path(f"{output_dir}_audio"))
            part = Path(f"{output_dir}_audio") / part.name
        parts.append(part)
    return {path.stem: path for part in parts for path in sorted(part.glob("*.wav"))}


def prepare_voxpopuli(
    corpus_dir: str | Path, output_dir: str | Path, language: str, subset: str, jobs: int = 1
) -> PrepLog:
    """Make the data directory of one set of one language, in either of the publisher's layouts.

    The transcript is ``normalized_text``, in which numbers are spelled out.

    Args:
        corpus_dir: what ``voxpopuli.get_asr_data`` makes,
            ``transcribed_data/<lang>/{asr_<subset>.tsv,<year>/<id>.ogg}``; or the hub's
            ``data/<lang>/{asr_<subset>.tsv,<subset>/<subset>_part_<n>.tar.gz}``.
        output_dir: is written whole, with ``prep_log.json``; ``<output_dir>_audio`` gets what is
            unpacked.
        language: one of :data:`LANGUAGES`.
        subset: one of :data:`SUBSETS`.
        jobs: files looked at at a time.

    Raises:
        UserError: if a file is missing or has another form.
    """
    require_known(language, LANGUAGES, "language", "VoxPopuli")
    require_known(subset, SUBSETS, "subset", "VoxPopuli")
    directory = Path(corpus_dir) / "transcribed_data" / language
    if not directory.is_dir():
        directory = Path(corpus_dir) / "data" / language
    rows = list(read_rows(directory / f"asr_{subset}.tsv", _COLUMNS))
    recordings = _recordings(directory, subset, output_dir)
    clips = []
    for row in rows:
        name, speaker = row["id"], row["speaker_id"]
        path = recordings.get(name, directory / name[:4] / f"{name}.ogg")
        clips.append(
            Clip(
                name,
                path,
                row["normalized_text"],
                row["raw_text"],
                "" if speaker in _NOBODY else speaker,
            )
        )
    log = PrepLog(f"voxpopuli {subset}", language)
    clip_set = ClipSet("voxpopuli", subset, language, "voxpopuli")
    return write_clips(output_dir, clips, clip_set, log, jobs)
