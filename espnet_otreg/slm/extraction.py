"""The work behind ``extract_features``: check the options, run the jobs, merge."""

from __future__ import annotations

import math
import time
from pathlib import Path

from espnet_otreg.config import parse_config
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.files import lock_directory, read_json, read_yaml
from espnet_otreg.models_offline.directory import model_directory, weights_sha256
from espnet_otreg.slm.augment import AugmentConfig
from espnet_otreg.slm.config import WAV2VEC2_TYPES
from espnet_otreg.slm.feature_dir import (
    SAMPLE_RATE,
    FeatureOptions,
    check_durations,
    default_job_count,
    is_complete,
    list_items,
    merge_jobs,
    split_jobs,
)
from espnet_otreg.slm.waveform import longest_input

_GPU_BATCH_SECONDS = 240.0


def read_augment_config(path: str | None) -> AugmentConfig:
    """The augmentation of a YAML file; without one, the defaults.

    Raises:
        ConfigErrors: with every mistake of the file.
    """
    if path is None:
        return AugmentConfig()
    errors: list[str] = []
    values = read_yaml(path)
    config = parse_config(AugmentConfig, values, "augment", errors)
    if config is None:
        raise ConfigErrors(errors, path)
    return config


def _check(nj: int, job: int | None, num_jobs: int | None, copies: int, only: bool) -> None:
    if nj < 1:
        raise UserError(f"--nj must be at least 1, found {nj}")
    if num_jobs is not None and num_jobs < 1:
        raise UserError(f"--num_jobs must be at least 1, found {num_jobs}")
    if job is not None and not 1 <= job <= (num_jobs or 0):
        raise UserError(f"--job {job} is not one of 1..{num_jobs}", mend="give --num_jobs too")
    if copies < 0 or (only and not copies):
        raise UserError("--augment_copies must be at least 1 with --only_augmented, and never < 0")


def _longest_input(directory: Path) -> float:
    """Seconds that an encoder takes; an error if the model is no encoder that we know."""
    config = read_json(directory / "config.json")
    if config.get("model_type") in WAV2VEC2_TYPES:
        return math.inf
    if config.get("model_type") != "whisper":
        raise UserError(f"a model of type {config.get('model_type')}", str(directory),
                        "features are made with Whisper, wav2vec 2.0 or w2v-BERT")  # fmt: skip
    return longest_input(directory) / SAMPLE_RATE


def extract_features(
    data: str,
    output: str,
    model: str,
    nj: int = 1,
    job: int | None = None,
    num_jobs: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    batch_seconds: float | None = None,
    trailing_silence: float = 0.5,
    augment_copies: int = 0,
    only_augmented: bool = False,
    augment_config: str | None = None,
    seed: int = 0,
) -> None:
    """Encode every utterance of a data directory; see the command line for the arguments.

    Raises:
        UserError: for wrong options and defective recordings, naming the utterance.
    """
    start = time.monotonic()
    _check(nj, job, num_jobs, augment_copies, only_augmented)
    directory = model_directory(model)
    options = FeatureOptions(
        model=str(directory),
        model_sha256=weights_sha256(directory),
        trailing_silence=trailing_silence,
        dtype=dtype,
        augment_copies=augment_copies,
        originals=not only_augmented,
        seed=seed,
        augmentation=read_augment_config(augment_config),
    )
    items = list_items(data, options)
    if is_complete(output, items, options):
        print(f"{output}: {len(items)} utterances are encoded already")
        return
    check_durations(data, items, _longest_input(directory))
    count = num_jobs or default_job_count(items, nj)
    jobs = {number: share for number, share in split_jobs(items, count).items() if share}

    from espnet_otreg.slm.features import RunOptions, run_jobs  # torch, once there is work

    if batch_seconds is None:  # a processor gains nothing from batches, a GPU much
        batch_seconds = 0.0 if device == "cpu" else _GPU_BATCH_SECONDS
    run = RunOptions(nj, device, batch_seconds)
    if job is not None:
        run_jobs({job: jobs[job]} if job in jobs else {}, Path(output), options, run)
        return
    with lock_directory(output):
        run_jobs(jobs, Path(output), options, run)
        merge_jobs(data, output, items, options, list(jobs), model)
    print(f"{output}: {len(items)} utterances encoded in {time.monotonic() - start:.0f} s")
