#!/usr/bin/env python3
"""Print the lines of a table whose first word is the first word of some line of a list.

filter_scp.pl [--exclude] LIST [TABLE]        TABLE is stdin if it is not given
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from job_command import fail


def main(arguments: Sequence[str]) -> None:
    """Filter."""
    exclude = arguments[:1] == ["--exclude"]
    names = list(map(Path, arguments[exclude:]))
    if len(names) not in (1, 2):
        fail("expected [--exclude] LIST [TABLE]")
    try:
        contents = [name.read_text(encoding="utf-8") for name in names]
    except OSError as error:
        fail(f"{error.filename}: cannot be read ({(error.strerror or '').lower()})")
    listed = {line.split()[0] for line in contents[0].splitlines() if line.strip()}
    for line in contents[1].splitlines() if len(contents) == 2 else sys.stdin:
        words = line.split(maxsplit=1)
        if words and (words[0] in listed) != exclude:
            print(line.rstrip("\n"))


if __name__ == "__main__":
    main(sys.argv[1:])
