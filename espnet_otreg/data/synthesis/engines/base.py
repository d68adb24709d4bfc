"""What an engine is: a text in, samples out; those that are programs share how they are run."""

from __future__ import annotations

import abc
import os
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from espnet_otreg.data.synthesis.packages import LIBRARIES, unpacked_root
from espnet_otreg.data.synthesis.request import Request

SECONDS_FOR_A_TEXT = 120  # then an engine hangs


@dataclass(frozen=True)
class Speech:
    """16-bit mono samples, and how many make a second."""

    samples: bytes
    rate: int


class Engine(Protocol):
    """A speech synthesiser.

    Args:
        voices_dir: where :mod:`espnet_otreg.data.synthesis.packages` unpacks programs.
    """

    def __init__(self, voices_dir: Path | None) -> None: ...

    def has(self, voice: str) -> bool:
        """Whether it is installed with this voice."""

    def start(self) -> None:
        """Load what every text needs. Each text is then read by a fork of this process."""

    def speak(self, request: Request) -> Speech:
        """Read a text.

        Raises:
            OSError, ValueError, subprocess.SubprocessError: if it cannot.
        """


@dataclass(frozen=True)
class Command:
    """The words behind the name of a program that then writes a WAV file."""

    words: list[str | bytes]
    input: bytes = b""
    environment: dict[str, str] = field(default_factory=dict)


class ProgramEngine(abc.ABC):
    """An engine that is a program: it starts anew for every text.

    It is the one that is installed, or else the one that was unpacked into ``voices_dir``.

    Attributes:
        name: of the engine.
        program: name of its program.
    """

    name: str
    program: str

    def __init__(self, voices_dir: Path | None = None) -> None:
        self._voices_dir = voices_dir

    def root(self, voice: str) -> Path | None:
        """What stands for ``/``; None if engine or voice are not there."""
        if shutil.which(self.program) and self.has_files(Path("/"), voice):
            return Path("/")
        if self._voices_dir is None:
            return None
        root = unpacked_root(self._voices_dir, self.name, voice).absolute()
        return root if self.has_files(root, voice) else None

    def has(self, voice: str) -> bool:
        """Whether the program and the files of this voice are there."""
        return self.root(voice) is not None

    @abc.abstractmethod
    def has_files(self, root: Path, voice: str) -> bool:
        """Whether the files of this voice are there."""

    def start(self) -> None:  # noqa: B027 -- none of these has anything to load
        """Nothing to load: a program starts anew for every text."""

    @abc.abstractmethod
    def command(self, root: Path, request: Request, wav: Path) -> Command:
        """What has the program write the speech to ``wav``."""

    def speak(self, request: Request) -> Speech:
        """Run the program and read what it wrote.

        Raises:
            OSError, ValueError, subprocess.SubprocessError: if it wrote no speech.
        """
        with tempfile.TemporaryDirectory(prefix="otreg-speech-") as scratch:
            wav = Path(scratch) / "speech.wav"
            root = self.root(request.voice)
            if root is None:
                raise FileNotFoundError(f"{self.name} {request.voice} is not installed")
            command = self.command(root, request, wav)
            environment = {**os.environ, **command.environment}
            words = [self.program, *command.words]
            if root != Path("/"):
                words[0] = str(root / "usr/bin" / self.program)
                environment["LD_LIBRARY_PATH"] = str(root / LIBRARIES)
            subprocess.run(
                words,
                input=command.input,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS_FOR_A_TEXT,
                check=True,
            )
            return read_speech(wav)


def read_speech(path: Path) -> Speech:
    """The samples of a WAV file that an engine wrote.

    Raises:
        ValueError: if they are not 16-bit mono.
        OSError: if there is no file.
    """
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise ValueError("the program wrote no 16-bit mono file")
            return Speech(file.readframes(file.getnframes()), file.getframerate())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"the program wrote no WAV file ({error})") from error
