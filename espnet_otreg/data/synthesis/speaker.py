"""The speaker as a process of its own: lines of JSON in, WAV files and lines of JSON out.

Every text is read by a fork of a process that has said nothing yet, so what it says depends on the
request alone, and an engine that crashes or hangs takes one utterance with it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from espnet_otreg.data.audio.write import write_wav
from espnet_otreg.data.synthesis.engines import ENGINE_CLASSES, Engine, Speech
from espnet_otreg.data.synthesis.engines.base import SECONDS_FOR_A_TEXT
from espnet_otreg.data.synthesis.request import Answer, Request


def save(speech: Speech, path: str, rate: int | None) -> Answer:
    """Write speech as a WAV file that is whole or absent.

    Args:
        speech: what an engine said.
        path: of the file.
        rate: samples per second that are wanted; None keeps them as they are.
    """
    samples = np.frombuffer(speech.samples, dtype="<i2").astype(np.float32) / 32768.0
    if rate is not None and rate != speech.rate and len(samples):
        import soxr

        samples = soxr.resample(samples, speech.rate, rate)
    rate = rate or speech.rate
    write_wav(path, samples, rate)
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    return Answer(len(samples) / rate, peak)


def _answer(engine: Engine, request: Request) -> Answer:
    try:
        return save(engine.speak(request), request.path, request.rate)
    except Exception as error:  # whatever an engine does with a text is told, and no defect of ours
        return Answer(error=" ".join(f"{type(error).__name__}: {error}".split())[:200])


def main() -> None:
    """Speak every request of the standard input; one answer for each, in their order.

    The directory of unpacked voices may be given on the command line.
    """
    voices_dir = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    engines: dict[str, Engine] = {}
    for line in sys.stdin:
        request = Request.read(line)
        if request.engine not in engines:
            engines[request.engine] = ENGINE_CLASSES[request.engine](voices_dir)
            engines[request.engine].start()
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS_FOR_A_TEXT + 10)
            answer = _answer(engines[request.engine], request)
            os.write(1, answer.line().encode())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            os.write(1, Answer(error=f"it ended with status {status}").line().encode())


if __name__ == "__main__":
    main()
