"""Transcribe what a command line names, going on after a recording that cannot be read."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.audio import CONVERSIONS, speech_samples
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.inference.inputs import Input
from espnet_otreg.inference.outputs import Result, printable, writer
from espnet_otreg.progress import Progress
from espnet_otreg.ranges import BATCH_SIZE, require_in_range
from espnet_otreg.slm.model_dir import check_model_directory
from espnet_otreg.slm.trained_languages import (
    TrainedLanguages,
    read_trained_languages,
    resolve_languages,
)

if TYPE_CHECKING:
    from espnet_otreg.inference.speech_lm import SpeechLM

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """What is asked for.

    Attributes:
        inputs: the recordings.
        model_dir: training or packed directory.
        language: of recordings that name none; None for the model's only one.
        mode: way of decoding, None for the model's best.
        kind: of output, see :data:`espnet_otreg.inference.outputs.FORMATS`.
        output: file, None for standard output.
        batch_size: recordings decoded together.
    """

    inputs: Sequence[Input]
    model_dir: str
    language: str | None = None
    mode: str | None = None
    kind: str = "txt"
    output: str | None = None
    batch_size: int = 1


def transcribe(task: Task, load: Callable[[], SpeechLM]) -> None:
    """Write a result for each recording, in their order.

    The model is loaded when the first recording has been read: a misspelt name is no reason to
    wait.

    Args:
        task: what to do.
        load: the model.

    Raises:
        UserError: if nothing is asked for, a language or mode is not the model's, or, at the end,
            if recordings could not be transcribed.
        OSError: if the output cannot be written.
    """
    require_in_range({"batch_size": task.batch_size}, {"batch_size": BATCH_SIZE})
    CONVERSIONS.clear()
    check_model_directory(task.model_dir)
    trained = read_trained_languages(task.model_dir)
    languages = [_language(one, task, trained) for one in task.inputs]
    _check_output(task)
    several = len(task.inputs) > 1
    failed: list[str] = []
    with writer(task.kind, task.output, several) as write, _progress(task) as advance:
        for results in _results(task, languages, load):
            for result in results:
                write(result)
                if result.error is not None:
                    failed.append(result.error)
                    if several:
                        print(result.error, file=sys.stderr, flush=True)
            advance(len(results))
    CONVERSIONS.say()
    if failed and not several:
        raise UserError(failed[0])
    if failed:
        count = len(task.inputs)
        raise UserError(f"{len(failed)} of {count} recordings could not be transcribed")


def _language(one: Input, task: Task, trained: TrainedLanguages) -> str:
    """The canonical code, or ``auto``."""
    if one.language is None:
        return resolve_languages(trained, task.language, 1)[0]
    try:
        return resolve_languages(trained, one.language, 1)[0]
    except UserError as error:
        raise UserError(error.what, _shown(one), error.mend) from error


def _results(
    task: Task, languages: Sequence[str], load: Callable[[], SpeechLM]
) -> Iterator[list[Result]]:
    """Results in the order of the recordings, several at a time."""
    model: SpeechLM | None = None
    waiting: list[tuple[Input, str, Samples | str]] = []
    for number, (one, language) in enumerate(zip(task.inputs, languages, strict=True), start=1):
        waiting.append((one, language, _read(one)))
        is_last = number == len(task.inputs)
        if model is None and not is_last and all(isinstance(w[2], str) for w in waiting):
            continue  # nothing to be decoded yet
        if len(waiting) < task.batch_size and not is_last:
            continue
        if model is None and any(not isinstance(w[2], str) for w in waiting):
            model = load()
        yield _transcribed(waiting, model, task.mode)
        waiting = []


def _transcribed(
    waiting: Sequence[tuple[Input, str, Samples | str]], model: SpeechLM | None, mode: str | None
) -> list[Result]:
    read = [(language, audio) for _, language, audio in waiting if not isinstance(audio, str)]
    found: Iterator[Any] = iter(())
    if model is not None and read:
        audio = [samples for _, samples in read]
        found = iter(model.transcripts(audio, [language for language, _ in read], mode))
    results = []
    for one, _, heard in waiting:
        if isinstance(heard, str):
            results.append(Result(one.file, error=heard))
            continue
        said = next(found)
        if isinstance(said, UserError):
            error = UserError(said.what, _shown(one), said.mend)
            results.append(Result(one.file, error=str(error)))
        else:
            results.append(Result(one.file, **vars(said)))
    return results


def _read(one: Input) -> Samples | str:
    """Samples at 16 kHz, or the sentence that says why there are none."""
    try:
        return speech_samples(one.open())
    except (UserError, OSError) as error:
        return printable(sentence_for(error))
    except ValueError as error:  # a name with a null byte
        return str(UserError(str(error), _shown(one)))


def _shown(one: Input) -> str:
    return printable(one.file)


def _check_output(task: Task) -> None:
    """An output that is one of the recordings would destroy it."""
    if task.output is None:
        return
    if os.path.isdir(task.output):
        raise UserError("a directory, not a file to write to", task.output, "name a file in it")
    for one in task.inputs:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samefile(one.file, task.output):
                raise UserError(
                    "the output is one of the recordings", task.output, "name another file"
                )


@contextlib.contextmanager
def _progress(task: Task) -> Iterator[Callable[[int], None]]:
    """Counts on standard error, unless the texts themselves show how far it is."""
    if len(task.inputs) == 1 or (sys.stdout.isatty() and task.output is None):
        yield lambda count: None
        return
    progress = Progress("transcripts", len(task.inputs), "recordings")
    yield progress.advance
    progress.close()
