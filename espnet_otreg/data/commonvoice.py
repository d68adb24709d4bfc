"""Common Voice: volunteers read sentences, MP3 of 32 or 48 kHz; sets change with each release."""

from __future__ import annotations

import hashlib
from pathlib import Path

from espnet_otreg.data.clips import Clip, ClipSet, require_known, write_clips
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.tsv import read_rows, to_number
from espnet_otreg.errors import UserError

# Where the publisher's name of a language is not its code.
_LOCALES = {
    "fy": "fy-NL", "ga": "ga-IE", "hy": "hy-AM", "nan": "nan-tw", "ne": "ne-NP", "nn": "nn-NO",
    "pa": "pa-IN", "sv": "sv-SE", "zh": "zh-CN",
}  # fmt: skip
SUBSETS = ("train", "dev", "test", "validated")


def find_release(corpus_dir: str | Path, locale: str) -> Path:
    """The one release that has the language: ``<corpus_dir>/cv-corpus-<version>-<date>``.

    Raises:
        UserError: if there is none, or more than one.
    """
    found = sorted(Path(corpus_dir).glob(f"cv-corpus-*/{locale}/clips"))
    if len(found) == 1:
        return found[0].parents[1]
    if found:
        names = ", ".join(path.parents[1].name for path in found)
        raise UserError(
            f"several releases have '{locale}': {names}", str(corpus_dir), "leave one there"
        )
    others = sorted({path.parent.name for path in Path(corpus_dir).glob("cv-corpus-*/*/clips")})
    has = f"it has no language '{locale}'; it has: {', '.join(others)}; " if others else ""
    raise UserError(
        f"{has}no cv-corpus-VERSION-DATE/{locale}/clips",
        str(corpus_dir),
        "download the language from https://datacollective.mozillafoundation.org (it takes an "
        "account) and unpack it there",
    )


def _durations(path: Path) -> dict[str, float]:
    """Seconds by file name; old releases do not say."""
    if not path.exists():
        return {}
    rows = read_rows(path, ("clip", "duration[ms]"))
    return {row["clip"]: to_number(row["duration[ms]"], path) / 1000 for row in rows}


def prepare_commonvoice(
    corpus_dir: str | Path, output_dir: str | Path, language: str, subset: str, jobs: int = 1
) -> PrepLog:
    """Make the data directory of one set of one language.

    Columns are found by name, so releases before 17 (``client_id path sentence ...``) and since
    (``client_id path sentence_id sentence sentence_domain ...``) are read alike.

    Args:
        corpus_dir: holds one ``cv-corpus-<version>-<date>/<language>/`` with ``clips/*.mp3``,
            ``<subset>.tsv`` and, since release 14 or so, ``clip_durations.tsv``.
        output_dir: is written whole, with ``prep_log.json``.
        language: canonical code; which ones there are depends on the release.
        subset: one of :data:`SUBSETS`.
        jobs: files looked at at a time.

    Raises:
        UserError: if a file is missing or has another form.
    """
    require_known(subset, SUBSETS, "subset", "Common Voice")
    locale = _LOCALES.get(language, language)
    release = find_release(corpus_dir, locale)
    directory = release / locale
    seconds = _durations(directory / "clip_durations.tsv")
    clips = []
    for row in read_rows(directory / f"{subset}.tsv", ("client_id", "path", "sentence")):
        # Sixteen digits tell a hundred million speakers apart, and 128 make no readable id.
        speaker = hashlib.sha256(row["client_id"].encode()).hexdigest()[:16]
        path = directory / "clips" / row["path"]
        name = path.stem.removeprefix(f"common_voice_{locale}_")
        clips.append(
            Clip(name, path, row["sentence"], speaker=speaker, seconds=seconds.get(row["path"]))
        )
    log = PrepLog(f"commonvoice {release.name.removeprefix('cv-corpus-')} {subset}", language)
    clip_set = ClipSet("commonvoice", subset, language, "commonvoice")
    return write_clips(output_dir, clips, clip_set, log, jobs)
