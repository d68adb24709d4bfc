"""Decode several data directories in several modes with one model, in one process or several."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espnet_otreg.data.ark import read_features
from espnet_otreg.data.audio import CONVERSIONS
from espnet_otreg.data.audio.options import DEFAULT_AUDIO, AudioOptions
from espnet_otreg.data.digests import trained_without
from espnet_otreg.decoding.data import DataSet, Speech, make_batches, read_data_sets
from espnet_otreg.decoding.encoded import SpeechBatch
from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.modes import PROMPT, READOUT, Mode
from espnet_otreg.decoding.parts import LOGDIR, TUNING, Merged, Part, merge, part_of
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.decoding.results import write_set
from espnet_otreg.decoding.tokens import no_readout
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.files import lock_directory, sha256_file
from espnet_otreg.models_offline.directory import model_directory, weights_sha256
from espnet_otreg.progress import Progress
from espnet_otreg.ranges import WORK_RANGES, range_errors
from espnet_otreg.slm.build import checkpoint_file, load_model
from espnet_otreg.slm.config import SLMConfig
from espnet_otreg.slm.model_dir import read_model_config, read_model_values
from espnet_otreg.slm.trained_languages import ANY_LANGUAGE, read_trained_languages
from espnet_otreg.slm.waveform import longest_samples, read_waveform

# Utterances are encoded with few others of their length, and fill up the LLM's batch by and by.
_FILLINGS = 4
_BATCHES_PER_PART = 4  # what an interruption can cost at most


@dataclass(frozen=True)
class Work:
    """One part of one set, in all modes."""

    data: DataSet
    batches: list[list[Speech]]
    parts: dict[str, Part]

    def unfinished(self) -> list[str]:
        """The modes whose part is still to be made."""
        return [mode for mode, part in self.parts.items() if not part.finished()]


def load_speech(
    batch: Sequence[Speech],
    precomputed: bool,
    device: str = "cpu",
    audio: AudioOptions = DEFAULT_AUDIO,
    longest: int = sys.maxsize,
) -> SpeechBatch:
    """Features (B, T, D) or waveforms (B, N) of utterances, padded with zeros.

    Args:
        batch: the utterances.
        precomputed: whether their features are read.
        device: where the result lies.
        audio: what may be done to recordings.
        longest: samples that the encoder takes.

    Raises:
        UserError: naming the utterance and its file, if it cannot be used.
    """

    def read(u: Speech) -> Any:
        if precomputed:
            return read_features(str(u.source), u.key, u.digest)
        return read_waveform(u.source, u.key, audio, longest)

    arrays = [torch.from_numpy(np.array(read(u))) for u in batch]
    for u, array in zip(batch, arrays, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise UserError(
                f"its features have {array.size(-1)} dimensions, those of {batch[0].key} "
                f"{arrays[0].size(-1)}",
                f"utterance {u.key} ({u.source})",
                "run stage 4 (features) again",
            )
    return SpeechBatch(
        torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True).to(device),
        torch.tensor([len(array) for array in arrays], device=device),
        [u.language for u in batch],
        [u.seconds for u in batch],
        [u.key for u in batch],
    )


def plan(
    data: DataSet,
    modes: Mapping[str, Mode],
    output: Path,
    facts: Mapping[str, Any],
    batch_size: int,
    logdir: str = LOGDIR,
) -> list[Work]:
    """Cut a set into parts, each with its share of long and short batches.

    Args:
        data: the set.
        modes: that decode; a part of one depends on the options that this one reads.
        output: all modes lie below it.
        facts: what else the results depend on.
        batch_size: utterances that the LLM decodes together.
        logdir: the directory of the parts in that of a mode and a set.
    """
    batches = make_batches(data.utterances, max(1, batch_size // _FILLINGS))
    count = -(-len(data.utterances) // (_BATCHES_PER_PART * batch_size))
    works = []
    for number in range(count):
        own = batches[number::count]
        described = [facts, [[u.facts() for u in batch] for batch in own]]

        def facts_of(mode: Mode, described: list[Any] = described) -> list[Any]:
            return [mode.decoding_options(), *described]

        parts = {
            name: part_of(output, name, data.name, number + 1, facts_of(mode), logdir)
            for name, mode in modes.items()
        }
        works.append(Work(data, own, parts))
    return works


class Decoder:
    """Decodes parts that are not finished, with a model that is loaded when the first one comes.

    Args:
        model_dir, checkpoint, device, batch_size, audio: as in :func:`decode_sets`.
    """

    def __init__(
        self,
        model_dir: str,
        checkpoint: str | None,
        device: str,
        batch_size: int,
        audio: AudioOptions,
    ) -> None:
        self._model_dir, self._checkpoint = model_dir, checkpoint
        self._device, self._batch_size, self._audio = device, batch_size, audio

    @cached_property
    def _recognizer(self) -> Recognizer:
        model = load_model(self._model_dir, self._checkpoint, self._device)
        return Recognizer(model, self._batch_size)

    def __call__(self, works: Sequence[Work], modes: Mapping[str, Mode]) -> None:
        """Decode and write what is not there yet.

        Args:
            works: parts.
            modes: those of the parts.
        """
        todo = [work for work in works if work.unfinished()]
        if not todo:  # loading takes longer than finding out that all is done
            return
        total = sum(len(batch) for work in todo for batch in work.batches)
        progress = Progress("decoding", total, "utterances")
        with self._recognizer.model.llm.merged():
            for work in todo:
                self._decode(work, {name: modes[name] for name in work.unfinished()})
                progress.advance(sum(map(len, work.batches)))
        progress.close()

    def _decode(self, work: Work, modes: Mapping[str, Mode]) -> None:
        started = time.monotonic()
        model = self._recognizer.model
        longest, precomputed = longest_samples(model), model.config.reads_features
        speech = (
            load_speech(batch, precomputed, self._device, self._audio, longest)
            for batch in work.batches
        )
        found = self._recognizer(speech, modes)
        seconds = time.monotonic() - started
        keys = [u.key for batch in work.batches for u in batch]
        for name, several in found.items():
            rows = dict(zip(keys, several, strict=True))
            candidates = {k: row for k, row in rows.items() if isinstance(row[0], Candidate)}
            hypotheses = {k: row for k, row in rows.items() if k not in candidates}
            work.parts[name].write(hypotheses, candidates, seconds)


def decode_sets(
    model_dir: str,
    data_dirs: Sequence[str],
    modes: Mapping[str, Mode],
    output_dir: str,
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    batch_size: int = 32,
    job: int | None = None,
    num_jobs: int = 1,
    audio: AudioOptions = DEFAULT_AUDIO,
) -> None:
    """Decode into ``output_dir/MODE/SET``; finished parts of an interrupted run are kept.

    Args:
        model_dir: a training directory or a packed one.
        data_dirs: their last components name the sets.
        modes: as :func:`espnet_otreg.decoding.modes.configure_modes` makes them.
        output_dir: where the results go.
        checkpoint: file in ``model_dir``; by default averaged, else best, else latest.
        device: where the model runs.
        batch_size: utterances that the LLM decodes together; it has read four times as many.
        job: do only this share of the work, 1 to ``num_jobs``, and put nothing together.
        num_jobs: processes that share the work.
        audio: what may be done to recordings that are not mono or not at 16 kHz.

    Raises:
        UserError: for mistakes in options, data or model.
    """
    shares = {"batch_size": batch_size, "job": 1 if job is None else job, "num_jobs": num_jobs}
    errors = range_errors(shares, WORK_RANGES)
    errors += [message for mode in modes.values() for message in mode.validate()]
    if errors:
        raise ConfigErrors(errors)
    if job is not None and job > num_jobs:
        raise UserError(f"expected 1 <= job <= num_jobs, found job {job} of {num_jobs}")
    decoded = {name: mode for name, mode in modes.items() if mode.source is None}
    config = read_model_config(model_dir)
    precomputed = config.reads_features
    if not config.readout_conf.classes and any(READOUT in m.needs for m in decoded.values()):
        raise no_readout()
    # Where nothing is prompted, no language is strange to the model.
    prompted = any(PROMPT in mode.needs for mode in decoded.values())
    trained = read_trained_languages(model_dir) if prompted else ANY_LANGUAGE
    sets = read_data_sets(data_dirs, precomputed, trained)
    for mode in modes.values():
        mode.check_sets(sets)
    path = checkpoint_file(Path(model_dir), checkpoint)
    facts = {
        "checkpoint": path.name,
        "sha256": sha256_file(path),
        "pretrained_sha256": _pretrained(config),
        "trained_without": trained_without(read_model_values(model_dir)),
    }
    output = Path(output_dir)
    decode = Decoder(model_dir, checkpoint, device, batch_size, audio)
    with lock_directory(output / (f".job.{job}" if job else ".")):
        CONVERSIONS.clear()

        def found_in(mode: Mode, data: DataSet, name: str) -> Merged:
            tuning = plan(data, {name: mode}, output, facts, batch_size, TUNING)
            decode(tuning, {name: mode})
            return merge([work.parts[name] for work in tuning])

        with lock_directory(output / ".tuning", waits=True):  # the first job does it
            modes = {
                name: mode if mode.source else mode.prepare(sets, partial(found_in, name=name))
                for name, mode in modes.items()
            }
        decoded = {name: mode for name, mode in modes.items() if mode.source is None}
        works = [w for d in sets for w in plan(d, decoded, output, facts, batch_size)]
        decode(works if job is None else works[job - 1 :: num_jobs], decoded)
        CONVERSIONS.say()
        if job is None:
            _put_together(sets, works, modes, output, facts)


def _pretrained(config: SLMConfig) -> dict[str, str]:
    """Digests of the models that the configuration names, and a checkpoint leaves out."""
    names = {"llm": config.llm_conf.model, "encoder": config.encoder_conf.pretrained}
    return {part: weights_sha256(model_directory(name)) for part, name in names.items() if name}


def _put_together(
    sets: Sequence[DataSet],
    works: Sequence[Work],
    modes: Mapping[str, Mode],
    output: Path,
    facts: Mapping[str, Any],
) -> None:
    """Write the results of all sets in all modes; every part is finished."""
    for name, mode in modes.items():
        source = mode.source or name

        def read(data: DataSet, source: str = source) -> Merged:
            return merge([work.parts[source] for work in works if work.data is data])

        done = mode.when_done(sets, read, output)
        for data in sets:
            write_set(data, name, done, read(data), output, facts)
