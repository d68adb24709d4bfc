"""SVOX Pico's Italian voice as a process of its own: lines of JSON in, WAV files out.

The synthesiser reads memory that it never wrote, so what it says would depend on what it said
before. :data:`ZEROED_MEMORY` has the C library hand out zeroed memory, and then the samples depend
on the text alone. The C library reads it at its start, hence the process.
"""

from __future__ import annotations

import json
import sys
import wave

VOICE = "it-IT"
RATE = 16000
# glibc fills new memory with the complement of this byte; the second name is the older one.
ZEROED_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.perturb=255", "MALLOC_PERTURB_": "255"}


def main() -> None:
    """Speak every ``{"text": .., "path": ..}`` line of the standard input."""
    import py_nanotts

    for line in sys.stdin:
        request = json.loads(line)
        samples = py_nanotts.NanoTTS().speak(request["text"], voice=VOICE)
        with wave.open(request["path"], "wb") as file:
            file.setparams((1, 2, RATE, len(samples) // 2, "NONE", ""))
            file.writeframes(samples)


if __name__ == "__main__":
    main()
