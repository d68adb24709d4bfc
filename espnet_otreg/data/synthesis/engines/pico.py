"""SVOX Pico, by the package py-nanotts: en es fr it de, 16 kHz."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from espnet_otreg.data.synthesis.engines.base import Speech
from espnet_otreg.data.synthesis.request import Request

_RATE = 16000


class Pico:
    """SVOX Pico.

    It reads memory that it never wrote, so what it says would depend on what it said before. With
    memory that the C library hands out zeroed (:data:`~.speaking.ZEROED_MEMORY`) the samples depend
    on the text alone.
    """

    def __init__(self, voices_dir: Path | None = None) -> None:
        """A package of Python has no other place."""

    def has(self, voice: str) -> bool:
        """Whether the package is installed, which has all voices."""
        return importlib.util.find_spec("py_nanotts") is not None

    def start(self) -> None:
        """Import the package."""
        import py_nanotts  # noqa: F401

    def speak(self, request: Request) -> Speech:
        """Read a text; speed and pitch are factors here, too."""
        import py_nanotts

        changes = {
            name: value
            for name, value in (("speed", request.speed), ("pitch", request.pitch))
            if value != 1.0
        }
        samples = py_nanotts.NanoTTS().speak(request.text, voice=request.voice, **changes)
        return Speech(samples, _RATE)
