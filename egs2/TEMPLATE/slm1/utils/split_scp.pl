#!/usr/bin/env python3
"""Cut a table into as many parts as names are given, in order and of nearly equal size.

    split_scp.pl IN OUT1 OUT2...

A table with fewer lines than parts is an error: an empty part would fail much later.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from job_command import fail


def main(arguments: Sequence[str]) -> None:
    """Cut the table."""
    if len(arguments) < 2:
        fail("expected IN OUT1 [OUT2...]")
    source, *parts = map(Path, arguments)
    try:
        lines = source.read_bytes().splitlines(keepends=True)
    except OSError as error:
        fail(f"{source}: cannot be read ({(error.strerror or '').lower()})")
    if len(lines) < len(parts):
        fail(f"{source}: {len(lines)} lines cannot be cut into {len(parts)} parts; use less --nj")
    for index, part in enumerate(parts):
        first, last = (len(lines) * n // len(parts) for n in (index, index + 1))
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"".join(lines[first:last]))


if __name__ == "__main__":
    main(sys.argv[1:])
