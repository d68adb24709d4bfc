"""Fixed train/dev/test splits, and the recorded fingerprint they are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.data.kaldi_dir import Utterance
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json
from espnet_otreg.scoring.normalize import normalizer_version

# Upper bounds of the share of hash values, in order. A twentieth of the texts that could be trained
# on is kept for pairs of preferred and rejected transcripts, which no training may have seen.
SHARES = {"preference": 0.04, "train": 0.8, "dev": 0.9, "test": 1.0}
SCHEME = "sha256 of the normalized text: preference 4 %, train 76 %, dev 10 %, test 10 %"


def hash_share(text: str) -> float:
    """A number in [0, 1) that the sha256 of a text decides.

    >>> round(hash_share("activated"), 3)
    0.865
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def split_of(text: str) -> str:
    """The split that a normalised text belongs to, decided by its own sha256 alone.

    So one text is never in two splits, in no language, and new utterances move no old one.

    >>> split_of("activated"), split_of("press nine for more entries")
    ('dev', 'train')
    """
    share = hash_share(text)
    return next(name for name, bound in SHARES.items() if share < bound)


def split_by_text(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    """Utterances by split, see :func:`split_of`."""
    parts: dict[str, list[Utterance]] = {name: [] for name in SHARES}
    for utterance in utterances:
        parts[split_of(utterance.text)].append(utterance)
    return parts


def lowest_hash(utterances: Iterable[Utterance], limit: int) -> list[Utterance]:
    """The ``limit`` utterances of every (domain, language) with the lowest sha256 of their id.

    Args:
        utterances: in any order.
        limit: 0 takes all.

    Returns:
        Sorted by id.
    """
    groups: dict[tuple[str, str], list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault((utterance.domain, utterance.language), []).append(utterance)
    kept: list[Utterance] = []
    for group in groups.values():
        group.sort(key=lambda u: hashlib.sha256(u.utterance_id.encode()).hexdigest())
        kept += group[:limit] if limit else group
    return sorted(kept, key=lambda u: u.utterance_id)


def fingerprint(utterances: Sequence[Utterance]) -> dict[str, Any]:
    """Number of utterances, by domain and language too, and the sha256 of their sorted ids."""
    ids = sorted(utterance.utterance_id for utterance in utterances)
    counts: dict[str, int] = {}
    for utterance in utterances:
        key = f"{utterance.domain} {utterance.language}"
        counts[key] = counts.get(key, 0) + 1
    return {
        "utterances": len(ids),
        "by_set": counts,
        "sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
    }


def check_record(sets: Mapping[str, Sequence[Utterance]], record: str | Path) -> None:
    """Compare sets with the recorded split; a record that does not exist is written.

    Args:
        sets: name of the set -> its utterances.
        record: ``conf/split.json``.

    Raises:
        UserError: if a set differs from the record, saying which and how.
    """
    found = {name: fingerprint(utterances) for name, utterances in sets.items()}
    header = {"scheme": SCHEME, "normalizer": normalizer_version()}
    if not Path(record).exists():
        write_json(record, {**header, "sets": found})
        return
    expected = read_json(record)
    for key, value in header.items():
        if expected.get(key) != value:
            raise UserError(
                f"the recorded {key} is '{expected.get(key)}', ours is '{value}'",
                str(record),
                "remove the record to make a new split, which no older result compares with",
            )
    for name, print_ in found.items():
        recorded = expected["sets"].get(name)
        if recorded != print_:
            raise UserError(
                f"the set '{name}' is not the recorded one: {_difference(recorded, print_)}",
                str(record),
                "use the pinned archives and versions, or remove the record to make a new split, "
                "which no older result compares with",
            )


def _difference(recorded: Mapping[str, Any] | None, found: Mapping[str, Any]) -> str:
    if recorded is None:
        return "it is not in the record"
    for key in sorted(recorded["by_set"].keys() | found["by_set"].keys()):
        before, now = recorded["by_set"].get(key, 0), found["by_set"].get(key, 0)
        if before != now:
            return f"{key} has {now} utterances instead of {before}"
    return f"the ids have sha256 {found['sha256'][:12]} instead of {recorded['sha256'][:12]}"
