"""Transcripts of a user's corpus: marks removed, numbers spelled, uncertain utterances dropped."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_otreg.data.kaldi_dir import Row, scan_table
from espnet_otreg.data.mark_rules import MarkRule
from espnet_otreg.data.marks import take_marks
from espnet_otreg.data.transcripts import Dropped, drop, spoken_words

# "dot", "slash" and so on are spoken in them. The known corpora, whose splits are recorded, have
# four, which stay.
_ADDRESS = re.compile(r"\w://|\b(?i:www)\.\w|\w\.(?:com|org|net|edu|gov|co\.uk)\b")
RAW_TEXT = "text.raw"  # its presence says that text is prepared already


@dataclasses.dataclass(frozen=True)
class OwnText:
    """What is left of transcripts.

    Attributes:
        words: normalised text of each utterance that is kept.
        dropped: reason -> ids.
        marks: what was done with a mark, as ``"[noise] removed"`` -> ids, one for each time.
    """

    words: dict[str, str]
    dropped: dict[str, list[str]]
    marks: dict[str, list[str]]


def read_own_text(
    texts: Mapping[str, str], languages: Mapping[str, str], rules: Sequence[MarkRule] = ()
) -> OwnText:
    """Normalise transcripts, and drop those whose reading is not certain.

    Unknown marks are left out here: :func:`mark_errors` refuses them.

    Args:
        texts: as they were written.
        languages: of the same utterances.
        rules: what the user says of marks.

    >>> read_own_text({"a": "Go [noise] on.", "b": "<unk>"}, {"a": "en", "b": "en"}).words
    {'a': 'go on'}
    """
    own = OwnText({}, {}, {})
    for key, text in texts.items():
        marked = take_marks(text, rules)
        for done in marked.done:
            own.marks.setdefault(done, []).append(key)
        try:
            if marked.drop is not None:
                drop(marked.drop)
            if _ADDRESS.search(marked.text):
                drop("symbol")
            own.words[key] = spoken_words(marked.text, languages[key])
        except Dropped as dropped:
            own.dropped.setdefault(dropped.reason, []).append(key)
    return own


def read_marks(directory: str | Path, rules: Sequence[MarkRule] = ()) -> dict[str, list[str]]:
    """What becomes of the marks in a data directory, as :attr:`OwnText.marks`.

    Raises:
        OSError: if there is no text.
    """
    directory = Path(directory)
    marks: dict[str, list[str]] = {}
    if not (directory / RAW_TEXT).is_file():
        for row in scan_table(directory / "text")[0]:
            for done in take_marks(row.value, rules).done:
                marks.setdefault(done, []).append(row.key)
    return marks


def mark_errors(path: str | Path, rows: Sequence[Row], rules: Sequence[MarkRule]) -> list[str]:
    """One sentence for each mark without a rule or a known meaning, the most frequent first.

    Args:
        path: of the table, for messages.
        rows: of it.
        rules: what the user says of marks.

    >>> mark_errors("text", [Row(1, "a", "so [door] so"), Row(2, "b", "[Door]")], ())[0]
    "text:1: unknown mark '[door]' (2 times, first in utterance 'a'); say what it is in a file for \
--marks: [door] remove, or keep, drop, word TEXT"
    """
    first: dict[str, tuple[Row, str]] = {}
    counts: dict[str, int] = {}
    for row in rows:
        for mark in take_marks(row.value, rules).unknown:
            key = mark.casefold()
            first.setdefault(key, (row, mark))
            counts[key] = counts.get(key, 0) + 1
    errors = []
    for key in sorted(counts, key=lambda key: (-counts[key], first[key][0].line)):
        row, mark = first[key]
        times = f"{counts[key]} times, first" if counts[key] > 1 else "once,"
        errors.append(
            f"{path}:{row.line}: unknown mark '{mark}' ({times} in utterance '{row.key}'); say "
            f"what it is in a file for --marks: {mark} remove, or keep, drop, word TEXT"
        )
    return errors
