"""MBROLA, a program that eSpeak NG's own program drives: en es fr it, 16 kHz."""

from __future__ import annotations

import shutil
from pathlib import Path

from espnet_otreg.data.synthesis.engines.base import Command, ProgramEngine
from espnet_otreg.data.synthesis.request import Request


class Mbrola(ProgramEngine):
    """MBROLA: recorded diphones, with the pronunciation and melody of eSpeak NG."""

    name = "mbrola"
    program = "espeak-ng"

    def has_files(self, root: Path, voice: str) -> bool:
        """Whether MBROLA is there, and the voice lies where its package puts it."""
        return shutil.which("mbrola") is not None and (root / "usr/share/mbrola" / voice).is_dir()

    def command(self, root: Path, request: Request, wav: Path) -> Command:
        """The scales of speed and pitch are eSpeak's: words a minute, and 0 to 99."""
        words: list[str | bytes] = ["-v", f"mb-{request.voice}", "-w", str(wav)]
        words += [
            "-s",
            str(round(160 * request.speed)),
            "-p",
            str(min(99, round(50 * request.pitch))),
        ]
        return Command([*words, "--stdin"], request.text.encode())
