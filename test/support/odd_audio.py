"""A corpus of odd recordings with what must become of each, and its table in docs/data.md.

Rewrite the table with ``python test/support/odd_audio.py`` in the repository's root.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

from odd_codings import boxed_files, mpeg_files, ogg_files, telephone_files
from odd_common import Odd
from odd_headers import big_wav_files, flac_files, other_headers, wav_files, wav_sizes

DOCS = Path(__file__).resolve().parents[2] / "docs/data.md"
BEGIN, END = "<!-- odd recordings: begin -->\n", "<!-- odd recordings: end -->\n"


@functools.cache
def odd_recordings() -> tuple[Odd, ...]:
    """All of them; making them takes about a second."""
    makers = (
        wav_files, wav_sizes, big_wav_files, other_headers, flac_files, ogg_files, mpeg_files,
        boxed_files, telephone_files,
    )  # fmt: skip
    return tuple(odd for maker in makers for odd in maker())


def write_corpus(directory: Path) -> dict[str, Path]:
    """Write every recording; file name -> path."""
    paths = {}
    for odd in odd_recordings():
        assert odd.name not in paths
        paths[odd.name] = directory / odd.name
        paths[odd.name].write_bytes(odd.content)
    return paths


def table() -> str:
    """The table of docs/data.md."""
    lines = ["| file | what is odd | samples at 16 kHz | decision |", "|---|---|---|---|"]
    for odd in odd_recordings():
        samples = odd.samples or ""
        lines.append(f"| `{odd.name}` | {odd.oddity} | {samples} | {odd.decision} |")
    return "\n".join(lines) + "\n"


def table_in_docs() -> str:
    """The table that docs/data.md has now."""
    return DOCS.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    text = DOCS.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.S)
    DOCS.write_text(pattern.sub(lambda _: BEGIN + table() + END, text), encoding="utf-8")
    print(f"{DOCS}: {len(odd_recordings())} recordings", file=sys.stderr)


if __name__ == "__main__":
    main()
