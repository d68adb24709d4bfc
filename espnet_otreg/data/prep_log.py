"""The log of a preparation (kept, corrected, dropped, with reasons): JSON file and table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from espnet_otreg.data.transcripts import DROP_REASONS
from espnet_otreg.files import read_json, write_json


@dataclasses.dataclass
class PrepLog:
    """The record of one corpus in one language; ids are the publisher's."""

    corpus: str
    language: str
    kept: int = 0
    seconds: float = 0.0
    dropped: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    mended: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def drop(self, reason: str, name: str) -> None:
        """Record a dropped utterance; ``reason`` is a key of ``DROP_REASONS``."""
        DROP_REASONS[reason]
        self.dropped.setdefault(reason, []).append(name)

    def mend(self, how: str, name: str) -> None:
        """Record a transcript that was corrected, and how."""
        self.mended.setdefault(how, []).append(name)

    def write(self, directory: str | Path) -> None:
        """Write ``<directory>/prep_log.json``."""
        content = dataclasses.asdict(self)
        content["seconds"] = round(self.seconds, 1)
        content["meaning"] = {reason: DROP_REASONS[reason] for reason in self.dropped}
        for kind in ("dropped", "mended"):
            content[kind] = {
                key: {"count": len(ids), "ids": sorted(ids)} for key, ids in content[kind].items()
            }
        write_json(Path(directory) / "prep_log.json", content)


def format_counts(counts: Mapping[str, int]) -> str:
    """Counts in one line, largest first.

    >>> format_counts({"number": 3, "no_words": 17})
    'no_words 17, number 3'
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count}" for reason, count in ordered) or "none"


def _counts(entry: Mapping[str, Any]) -> dict[str, int]:
    return {key: value["count"] for key, value in entry.items()}


def format_prep_logs(paths: Iterable[str | Path]) -> str:
    """The logs of several corpora as a table: one line each, then what the reasons mean."""
    logs = [read_json(path) for path in paths]
    width = max([14, *(len(log["corpus"]) for log in logs)]) + 2
    lines = [f"{'corpus':<{width}}{'lang':<6}{'kept':>6}{'seconds':>10}  dropped; mended"]
    reasons: set[str] = set()
    for log in logs:
        dropped, mended = _counts(log["dropped"]), _counts(log["mended"])
        reasons.update(dropped)
        note = format_counts(dropped) + (f"; {format_counts(mended)}" if mended else "")
        head = (
            f"{log['corpus']:<{width}}{log['language']:<6}{log['kept']:>6}{log['seconds']:>10.1f}"
        )
        lines.append(f"{head}  {note}")
    lines += [f"  {reason}: {DROP_REASONS[reason]}" for reason in sorted(reasons)]
    return "\n".join(lines)
