"""Flite, a program: English voices, 16 kHz."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.data.synthesis.engines.base import Command, ProgramEngine
from espnet_otreg.data.synthesis.request import Request


class Flite(ProgramEngine):
    """Flite. Its recorded diphones (kal16) keep their pitch, the others follow ``f0_shift``."""

    name = "flite"
    program = "flite"

    def has_files(self, root: Path, voice: str) -> bool:
        """Whether the program is there, which has all voices."""
        return (root / "usr/bin/flite").is_file()

    def command(self, root: Path, request: Request, wav: Path) -> Command:
        """Speed is the inverse of how far durations are stretched."""
        words: list[str | bytes] = ["-voice", request.voice]
        words += ["--setf", f"duration_stretch={1 / request.speed:.3f}"]
        words += ["--setf", f"f0_shift={request.pitch:.3f}"]
        return Command([*words, "-t", request.text, "-o", str(wav)])
