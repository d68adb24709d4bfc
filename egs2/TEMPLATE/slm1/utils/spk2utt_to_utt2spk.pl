#!/usr/bin/env python3
"""Turn "speaker utterance..." lines of stdin or a file into sorted "utterance speaker" lines."""

from __future__ import annotations

import fileinput

from job_command import fail


def main() -> None:
    """Convert; a line without utterances or an utterance that comes twice ends the program."""
    speakers: dict[str, str] = {}
    for line in fileinput.input(encoding="utf-8"):
        where = f"{fileinput.filename()}:{fileinput.filelineno()}"
        speaker, *utterances = line.split() or [""]
        if not utterances:
            fail(f"{where}: expected 'speaker utterance...'")
        for utterance in utterances:
            if utterance in speakers:
                fail(f"{where}: utterance '{utterance}' has two speakers")
            speakers[utterance] = speaker
    for utterance in sorted(speakers):
        print(utterance, speakers[utterance])


if __name__ == "__main__":
    main()
