"""RHVoice, a program: English and Russian voices, 24 kHz."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.data.synthesis.engines.base import Command, ProgramEngine
from espnet_otreg.data.synthesis.request import Request

_DATA = "usr/share/RHVoice"


class RHVoice(ProgramEngine):
    """RHVoice, by the program with which its authors test it."""

    name = "rhvoice"
    program = "RHVoice-test"

    def has_files(self, root: Path, voice: str) -> bool:
        """Whether the voice lies where its package puts it."""
        return (root / _DATA / "voices" / voice).is_dir()

    def command(self, root: Path, request: Request, wav: Path) -> Command:
        """Speed and pitch are percentages; the text comes on standard input."""
        words: list[str | bytes] = ["-p", request.voice, "-o", str(wav)]
        words += ["-r", str(round(100 * request.speed)), "-t", str(round(100 * request.pitch))]
        places = {"RHVOICE_DATA_PATH": _DATA, "RHVOICE_CONFIG_PATH": "etc/RHVoice"}
        environment = {name: str(root / place) for name, place in places.items()}
        return Command(words, request.text.encode(), environment)
