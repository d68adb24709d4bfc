"""Festival, a program: English and Italian voices, 16 kHz."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.data.synthesis.engines.base import Command, ProgramEngine
from espnet_otreg.data.synthesis.request import Request

_LIBRARY = "usr/share/festival"
_HEAP = "2000000"  # cells of Scheme; Festival's own ten million take longer to make than to speak
_LATIN_1 = ("lp_diphone", "pc_diphone")  # the Italian ones read one byte as one letter


def scheme_string(text: str) -> str:
    r"""A text as a string of Festival's language.

    >>> print(scheme_string('say "yes"'))
    "say \"yes\""
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Festival(ProgramEngine):
    """Festival. It keeps the pitch of its voices."""

    name = "festival"
    program = "festival"

    def has_files(self, root: Path, voice: str) -> bool:
        """Whether the voice lies where its package puts it."""
        return any((root / _LIBRARY / "voices").glob(f"*/{voice}"))

    def command(self, root: Path, request: Request, wav: Path) -> Command:
        """A program in Festival's Scheme: choose the voice, stretch, speak, save."""
        stretch = f"(Parameter.set 'Duration_Stretch {1 / request.speed:.3f})"
        speech = f"(utt.synth (Utterance Text {scheme_string(request.text)}))"
        save = f"(utt.save.wave {speech} {scheme_string(str(wav))} 'riff)"
        program = f"(begin (voice_{request.voice}) {stretch} {save})"
        encoding = "latin-1" if request.voice in _LATIN_1 else "utf-8"
        library = str(root / _LIBRARY)
        words: list[str | bytes] = ["--libdir", library, "--heap", _HEAP, "--batch"]
        return Command([*words, program.encode(encoding, "replace")])
