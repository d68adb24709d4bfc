"""Speakers at work: start the process, hand it requests, check that engines are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from espnet_otreg.data.synthesis.catalogue import VOICES, base_name
from espnet_otreg.data.synthesis.engines import ENGINE_CLASSES
from espnet_otreg.data.synthesis.packages import PACKAGES, obtain_engine
from espnet_otreg.data.synthesis.request import Answer, Request
from espnet_otreg.errors import UserError

# glibc fills new memory with the complement of this byte; the second name is the older one. It
# reads them at the start of a process.
ZEROED_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.perturb=255", "MALLOC_PERTURB_": "255"}


class Speaker:
    """A process that reads texts aloud, one after another: the same samples every time.

    Args:
        voices_dir: where :func:`prepare_voices` has unpacked engines.
    """

    def __init__(self, voices_dir: Path | None = None) -> None:
        self._words = [sys.executable, "-m", "espnet_otreg.data.synthesis.speaker"]
        self._words += [] if voices_dir is None else [str(voices_dir)]

    def __enter__(self) -> Speaker:
        # A file, not a pipe: an engine may complain a lot, and a pipe that nobody reads gets full.
        self._complaints = tempfile.TemporaryFile()
        # One request at a time is under way: if this process is killed, the speaker ends after it.
        self._process = subprocess.Popen(
            self._words,
            env={**os.environ, **ZEROED_MEMORY},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def speak(self, request: Request) -> Answer:
        """Have a text read.

        Raises:
            UserError: if the speaker itself ends, which an engine that is not installed does.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(request.line())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the reason is told below
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            self._process.communicate()
            self._complaints.seek(0)
            complaint = self._complaints.read().decode(errors="replace")
            last = complaint.strip().splitlines()[-1:] or ["killed"]
            voice = VOICES[request.engine, base_name(request.voice)]
            raise UserError(f"{request.engine} cannot speak", last[0], voice.install)
        return Answer.read(line)


def prepare_voices(
    voices: Iterable[tuple[str, str]], download_dir: str | Path | None = None
) -> Path | None:
    """Check that engines and their voices are there, and fetch those that can be had without root.

    Args:
        voices: names of engines and of their voices.
        download_dir: gets what is fetched (:mod:`espnet_otreg.data.synthesis.packages`); None
            fetches nothing.

    Returns:
        The directory of unpacked voices, for :class:`Speaker`.

    Raises:
        UserError: with every voice that is missing and what to type.
    """
    voices_dir = None if download_dir is None else Path(download_dir) / "voices"
    missing: dict[str, list[str]] = {}
    reasons: list[str] = []
    for engine, name in dict.fromkeys((engine, base_name(name)) for engine, name in voices):
        voice = VOICES[engine, name]
        if ENGINE_CLASSES[engine](voices_dir).has(name):
            continue
        if download_dir is not None and (engine, voice.language) in PACKAGES:
            try:
                obtain_engine(engine, voice.language, download_dir)
                continue
            except UserError as error:
                reasons.append(str(error))
        missing.setdefault(voice.install, []).append(f"{engine} {name}")
    if missing:
        names = ", ".join(name for listed in missing.values() for name in listed)
        why = f" ({'; '.join(dict.fromkeys(reasons))})" if reasons else ""
        raise UserError(f"voices that are not installed: {names}{why}", mend="; ".join(missing))
    return voices_dir
