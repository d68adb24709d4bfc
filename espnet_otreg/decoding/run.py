"""Decode several data directories in several modes with one model, in one process or several."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espnet_otreg.data.ark import read_features
from espnet_otreg.data.audio import CONVERSIONS
from espnet_otreg.data.audio.options import DEFAULT_AUDIO, AudioOptions
from espnet_otreg.decoding.data import DataSet, Speech, make_batches, read_data_sets
from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.options import WORK_RANGES, DecodingOptions, check_modes
from espnet_otreg.decoding.parts import Part, part_of
from espnet_otreg.decoding.recognizer import Recognizer, SpeechBatch
from espnet_otreg.decoding.results import choose_joint_weights, write_set
from espnet_otreg.errors import UserError
from espnet_otreg.files import lock_directory, sha256_file
from espnet_otreg.progress import Progress
from espnet_otreg.ranges import require_in_range
from espnet_otreg.slm.build import checkpoint_file, load_model
from espnet_otreg.slm.model_dir import read_model_config
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
            return read_features(str(u.source), u.key)
        return read_waveform(u.source, u.key, audio, longest)

    arrays = [torch.from_numpy(np.array(read(u))) for u in batch]
    for u, array in zip(batch, arrays, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise UserError(
                f"its features have {array.size(-1)} dimensions, those of {batch[0].key} "
                f"{arrays[0].size(-1)}",
                f"utterance {u.key} ({u.source})",
                "run stage 3 (features) again",
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
    modes: Sequence[str],
    output: Path,
    facts: dict[str, Any],
    batch_size: int,
) -> list[Work]:
    """Cut a set into parts, each with its share of long and short batches."""
    batches = make_batches(data.utterances, max(1, batch_size // _FILLINGS))
    count = -(-len(data.utterances) // (_BATCHES_PER_PART * batch_size))
    works = []
    for number in range(count):
        own = batches[number::count]
        described = [facts, data.fingerprint, [[u.key for u in batch] for batch in own]]
        parts = {mode: part_of(output, mode, data.name, number + 1, described) for mode in modes}
        works.append(Work(data, own, parts))
    return works


def decode_part(
    recognizer: Recognizer, work: Work, device: str, progress: Progress, audio: AudioOptions
) -> None:
    """Decode and write the modes of a part that are not there yet."""
    modes = work.unfinished()
    precomputed = recognizer.model.config.encoder == "precomputed"
    started = time.monotonic()
    longest = longest_samples(recognizer.model)
    speech = (load_speech(batch, precomputed, device, audio, longest) for batch in work.batches)
    found = recognizer(speech, modes)
    seconds = time.monotonic() - started
    keys = [u.key for batch in work.batches for u in batch]
    for mode in modes:
        candidates = dict(zip(keys, found.candidates, strict=True)) if mode == "joint" else {}
        hypotheses = {} if mode == "joint" else dict(zip(keys, found.hypotheses[mode], strict=True))
        work.parts[mode].write(hypotheses, candidates, seconds)
    progress.advance(len(keys))


def decode_sets(
    model_dir: str,
    data_dirs: Sequence[str],
    modes: Sequence[str],
    output_dir: str,
    options: DecodingOptions,
    *,
    joint_weights: JointWeights,
    joint_weight_dev: str | None = None,
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
        modes: see :data:`espnet_otreg.decoding.options.MODES`.
        output_dir: where the results go.
        options: of all modes.
        joint_weights: of mode joint, unless chosen on ``joint_weight_dev``.
        joint_weight_dev: the one of ``data_dirs`` whose error rate chooses the joint weights.
        checkpoint: file in ``model_dir``; by default averaged, else best, else latest.
        device: where the model runs.
        batch_size: utterances that the LLM decodes together; it has read four times as many.
        job: do only this share of the work, 1 to ``num_jobs``, and put nothing together.
        num_jobs: processes that share the work.
        audio: what may be done to recordings that are not mono or not at 16 kHz.

    Raises:
        UserError: for mistakes in options, data or model.
    """
    check_modes(modes, options)
    shares = {"batch_size": batch_size, "job": 1 if job is None else job, "num_jobs": num_jobs}
    require_in_range(shares, WORK_RANGES)
    if job is not None and job > num_jobs:
        raise UserError(f"expected 1 <= job <= num_jobs, found job {job} of {num_jobs}")
    modes = list(dict.fromkeys(["llm", *modes] if "llm_shuffled" in modes else modes))
    decoded = [mode for mode in modes if mode != "llm_shuffled"]
    precomputed = read_model_config(model_dir).encoder == "precomputed"
    prompted = decoded != ["ctc"]  # which reads no prompt, so that no language is strange to it
    trained = read_trained_languages(model_dir) if prompted else ANY_LANGUAGE
    sets = read_data_sets(data_dirs, precomputed, trained)
    tuning = _tuning_set(sets, joint_weight_dev)
    path = checkpoint_file(Path(model_dir), checkpoint)
    facts = {"options": asdict(options), "checkpoint": path.name, "sha256": sha256_file(path)}
    output = Path(output_dir)
    works = [w for d in sets for w in plan(d, decoded, output, facts, batch_size)]
    with lock_directory(output / (f".job.{job}" if job else ".")):
        own = works if job is None else works[job - 1 :: num_jobs]
        todo = [work for work in own if work.unfinished()]
        CONVERSIONS.clear()
        if todo:  # loading takes longer than finding out that all is done
            model = load_model(model_dir, checkpoint, device)
            recognizer = Recognizer(model, options, batch_size)
            total = sum(len(batch) for work in todo for batch in work.batches)
            progress = Progress("decoding", total, "utterances")
            for work in todo:
                decode_part(recognizer, work, device, progress, audio)
            progress.close()
            CONVERSIONS.say()
        if job is not None:
            return

        def parts_of(data: DataSet) -> dict[str, list[Part]]:
            own = [work for work in works if work.data is data]
            return {mode: [work.parts[mode] for work in own] for mode in decoded}

        if "joint" in modes and tuning is not None:
            joint_weights = choose_joint_weights(tuning, parts_of(tuning)["joint"], output)
        for data in sets:
            for mode in modes:
                write_set(data, mode, parts_of(data), output, facts, joint_weights)


def _tuning_set(sets: Sequence[DataSet], directory: str | None) -> DataSet | None:
    if directory is None:
        return None
    for data in sets:
        if data.directory.resolve() == Path(directory).resolve():
            return data
    raise UserError("this set is not decoded", directory, "name it in --data_dir too")
