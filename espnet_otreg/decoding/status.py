"""Counts of a decoded set: empty, looping, over-long and cut hypotheses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.scoring.normalize import SCORING_SCHEME, normalize
from espnet_otreg.scoring.quality import count_quality, is_loop


def count_status(
    hypotheses: Mapping[str, str],
    languages: Mapping[str, str],
    references: Mapping[str, str] | None,
    limit_reached: Collection[str],
) -> dict[str, int]:
    """Numbers of utterances, of empty and looping hypotheses and of those cut at their limit.

    With references also of over-long hypotheses and of those in another script.

    >>> count_status({"u": ""}, {"u": "it"}, None, [])
    {'utterances': 1, 'limit_reached': 0, 'empty': 1, 'loop': 0}
    """
    counts = {"utterances": len(hypotheses), "limit_reached": len(limit_reached)}
    texts = {
        key: normalize(text, languages[key], SCORING_SCHEME) for key, text in hypotheses.items()
    }
    if references is None:
        loops = sum(is_loop(text) for text in texts.values())
        return counts | {"empty": sum(not text for text in texts.values()), "loop": loops}
    sums = {"empty": 0, "loop": 0, "over_long": 0, "wrong_script": 0}
    for language in sorted(set(languages.values())):
        keys = [key for key in texts if languages[key] == language]
        expected = [normalize(references[key], language, SCORING_SCHEME) for key in keys]
        quality = count_quality(expected, [texts[key] for key in keys])
        sums = {name: count + getattr(quality, name) for name, count in sums.items()}
    return counts | sums


def read_references(directory: Path, keys: Collection[str]) -> dict[str, str] | None:
    """The transcripts of a data directory, or None if it has none or not for all utterances."""
    if not (directory / "text").is_file():
        return None
    references = read_table(directory / "text")
    return references if references.keys() >= set(keys) else None
