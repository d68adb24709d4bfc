"""What a speaker is asked for and what it answers, each one line of JSON."""

from __future__ import annotations

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Request:
    """A text to be read aloud.

    Attributes:
        engine: name of the engine, see :mod:`espnet_otreg.data.synthesis.catalogue`.
        voice: name of the voice; of eSpeak also ``VOICE+VARIANT``.
        text: what is read.
        path: the WAV file to write.
        speed: 1 is the voice's own, 2 twice as fast.
        pitch: 1 is the voice's own, higher is higher.
        rate: samples per second of the file; None keeps the engine's.

    >>> Request.read(Request("pico", "it-IT", "ciao", "a.wav").line()).text
    'ciao'
    """

    engine: str
    voice: str
    text: str
    path: str
    speed: float = 1.0
    pitch: float = 1.0
    rate: int | None = None

    def line(self) -> str:
        """The request as a line of JSON."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    @classmethod
    def read(cls, line: str) -> Request:
        """The request that a line holds."""
        return cls(**json.loads(line))


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        seconds: length of the speech.
        peak: largest sample, 1 is full scale.
        error: why there is no file; empty if there is one.

    >>> Answer.read(Answer(error="killed").line())
    Answer(seconds=0.0, peak=0.0, error='killed')
    """

    seconds: float = 0.0
    peak: float = 0.0
    error: str = ""

    def line(self) -> str:
        """The answer as a line of JSON."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    @classmethod
    def read(cls, line: str) -> Answer:
        """The answer that a line holds."""
        return cls(**json.loads(line))
