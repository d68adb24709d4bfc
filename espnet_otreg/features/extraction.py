"""The work behind ``extract_features``: check the options, run the jobs, merge."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.features.augment import read_augment_config
from espnet_otreg.features.feature_dir import (
    SAMPLE_RATE,
    FeatureOptions,
    check_durations,
    default_job_count,
    list_items,
    merge_jobs,
    merged_jobs,
    shard_of,
    split_jobs,
)
from espnet_otreg.files import lock_directory, read_json
from espnet_otreg.models_offline.directory import model_directory, weights_sha256
from espnet_otreg.slm.encoders.registry import encoder_of_model

AUTO = "auto"
PRECISION_FILE = "precision.json"  # what auto came to, for those who go on
_GPU_BATCH_SECONDS = 240.0


def _check(nj: int, job: int | None, num_jobs: int | None, copies: int, only: bool) -> None:
    if nj < 1:
        raise UserError(f"--nj must be at least 1, found {nj}")
    if num_jobs is not None and num_jobs < 1:
        raise UserError(f"--num_jobs must be at least 1, found {num_jobs}")
    if job is not None and not 1 <= job <= (num_jobs or 0):
        raise UserError(f"--job {job} is not one of 1..{num_jobs}", mend="give --num_jobs too")
    if copies < 0 or (only and not copies):
        raise UserError("--augment_copies must be at least 1 with --only_augmented, and never < 0")


def _settled(dtype: str, output: str, device: str) -> str:
    """The precision, of which ``auto`` stands for the faster one; settled once in a directory."""
    if dtype != AUTO:
        return dtype
    path = Path(output) / PRECISION_FILE
    if path.is_file():
        return str(read_json(path)["dtype"])
    from espnet_otreg.precision import settled_precision  # torch, if there is work

    return settled_precision(AUTO, device, path).dtype


def extract_features(
    data: str,
    output: str,
    model: str,
    nj: int = 1,
    job: int | None = None,
    num_jobs: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    layer: int | None = None,
    batch_seconds: float | None = None,
    trailing_silence: float = 0.5,
    augment_copies: int = 0,
    only_augmented: bool = False,
    augment_config: str | None = None,
    seed: int = 0,
) -> None:
    """Encode every utterance of a data directory; see the command line for the arguments.

    Finished jobs are kept if their recordings hold what they held and their archives are whole,
    which is found out by reading both.

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
        dtype=_settled(dtype, output, device),
        layer=layer,
        augment_copies=augment_copies,
        originals=not only_augmented,
        seed=seed,
        augmentation=read_augment_config(augment_config),
    )
    items = list_items(data, options)
    made = merged_jobs(output, items, options)
    count = num_jobs or made or default_job_count(items, nj)
    shares = {number: share for number, share in split_jobs(items, count).items() if share}
    jobs = {shard_of(output, number, share, options): share for number, share in shares.items()}
    if job is not None:
        jobs = {shard: jobs[shard] for shard in jobs if shard.directory.name == str(job)}
    todo = {s: share for s, share in jobs.items() if not s.finished() or s.damaged()}
    if not todo and made == count:
        print(f"{output}: {len(items)} utterances are encoded already")
        return
    if todo:
        longest = encoder_of_model(directory, trailing_silence, layer).longest_samples()
        check_durations(data, items, longest / SAMPLE_RATE)
    with lock_directory(output) if job is None else contextlib.nullcontext():
        if todo:
            from espnet_otreg.features.encode import RunOptions, run_jobs  # torch, if there is work

            if batch_seconds is None:  # a processor gains nothing from batches, a GPU much
                batch_seconds = 0.0 if device == "cpu" else _GPU_BATCH_SECONDS
            run_jobs(todo, options, RunOptions(nj, device, batch_seconds))
        if job is None:
            merge_jobs(data, output, items, options, list(jobs), count, model)
    seconds = time.monotonic() - start
    done = sum(map(len, todo.values()))
    print(f"{output}: {done} of {len(items)} utterances encoded in {seconds:.0f} s")
