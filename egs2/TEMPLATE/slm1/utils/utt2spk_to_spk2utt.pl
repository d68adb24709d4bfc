#!/usr/bin/env python3
"""Turn "utterance speaker" lines of stdin or a file into sorted "speaker utterance..." lines."""

from __future__ import annotations

import fileinput

from job_command import fail


def main() -> None:
    """Convert; a line without exactly two words ends the program."""
    utterances: dict[str, list[str]] = {}
    for line in fileinput.input(encoding="utf-8"):
        words = line.split()
        if len(words) != 2:
            fail(f"{fileinput.filename()}:{fileinput.filelineno()}: expected 'utterance speaker'")
        utterances.setdefault(words[1], []).append(words[0])
    for speaker in sorted(utterances):
        print(speaker, *sorted(utterances[speaker]))


if __name__ == "__main__":
    main()
