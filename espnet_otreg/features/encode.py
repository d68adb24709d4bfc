"""Frozen-encoder features, written once: a data directory to Kaldi archives and tables."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
import torch

from espnet_otreg.data.ark import matrix_digest, write_matrix
from espnet_otreg.data.audio import CONVERSIONS
from espnet_otreg.errors import UserError
from espnet_otreg.features.augment import augment, generator_for
from espnet_otreg.features.feature_dir import ARCHIVE, SAMPLE_RATE, FeatureOptions, Item
from espnet_otreg.files import atomic_write, lock_directory
from espnet_otreg.progress import Progress
from espnet_otreg.shards import Shard
from espnet_otreg.slm.device import usable_device
from espnet_otreg.slm.encoders.network import SpeechNetwork
from espnet_otreg.slm.encoders.registry import encoder_of_model
from espnet_otreg.slm.waveform import read_waveform


def _waveform(item: Item, options: FeatureOptions, limit: int) -> np.ndarray:
    waveform = read_waveform(item.wav, item.utterance, longest=limit)
    if not item.copy:
        return waveform
    config = options.augmentation
    if len(waveform) * 100 > limit * config.speed_percent[0]:
        config = dataclasses.replace(config, speed_probability=0.0)  # slower would be too long
    rng = generator_for(item.utterance, item.copy, options.seed)
    return augment(waveform, SAMPLE_RATE, config, rng)


def _batches(items: Sequence[Item], seconds: float) -> Iterator[list[Item]]:
    """Neighbours in length whose padded total is at most ``seconds``; one item at least."""
    batch: list[Item] = []
    for item in sorted(items, key=lambda item: (item.bytes, item.key)):
        if batch and item.bytes * (len(batch) + 1) > seconds * SAMPLE_RATE * 2:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


@torch.inference_mode()
def _encode(encoder: SpeechNetwork, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
    speech = torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, waveforms)), batch_first=True)
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    device = next(encoder.parameters()).device
    features, frames = encoder(speech.to(device), lengths.to(device))
    matrices = features.float().cpu().numpy()
    return [matrix[:count] for matrix, count in zip(matrices, frames.tolist(), strict=True)]


def run_job(
    encoder: SpeechNetwork,
    items: Sequence[Item],
    options: FeatureOptions,
    shard: Shard,
    batch_seconds: float,
) -> None:
    """Encode one job's items into ``shard``; nothing is done if they are there already.

    Raises:
        UserError: naming the utterance, if a recording is defective.
    """
    with lock_directory(shard.directory):
        if shard.finished() and not shard.damaged():
            return  # another process has made it since we looked
        rows: dict[str, tuple[int, float, str]] = {}
        with shard.writing() as about, atomic_write(shard.directory / ARCHIVE, "wb") as archive:
            for batch in _batches(items, batch_seconds):
                waveforms = [_waveform(item, options, encoder.max_samples) for item in batch]
                matrices = _encode(encoder, waveforms)
                for item, waveform, matrix in zip(batch, waveforms, matrices, strict=True):
                    if not np.isfinite(matrix).all():
                        raise UserError("the encoder gave NaN", f"utterance {item.utterance}")
                    offset = write_matrix(archive, item.key, matrix, options.dtype)
                    seconds = len(waveform) / SAMPLE_RATE
                    rows[item.key] = (offset, seconds, matrix_digest(matrix))
            about["rows"] = rows
            about["dim"] = encoder.output_size
            about["frame_seconds"] = encoder.frame_seconds


@functools.lru_cache(maxsize=1)
def load_encoder(
    model: str, trailing_silence: float, dtype: str, device: str, layer: int | None = None
) -> SpeechNetwork:
    """The encoder of a directory in evaluation mode, with the dtype and device asked for."""
    encoder = encoder_of_model(model, trailing_silence, layer).load_network()
    encoder.eval().requires_grad_(False)
    encoder.encoder.to(getattr(torch, dtype))
    return encoder.to(usable_device(device))


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How the work is done; none of it changes float32 features made one by one.

    Args:
        nj: jobs at a time, in threads that share the processors evenly.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        batch_seconds: padded audio encoded at once; 0 encodes utterances one by one, which is as
            fast on a processor and makes features independent of batch mates to the last bit.
    """

    nj: int = 1
    device: str = "cpu"
    batch_seconds: float = 0.0


_loading = threading.Lock()  # one thread loads the encoder, the others wait for it


def _run_job_here(
    items: Sequence[Item], options: FeatureOptions, shard: Shard, run: RunOptions
) -> None:
    """Run a job in a thread of its own share of the processors."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // run.nj))
    with _loading:
        encoder = load_encoder(
            options.model, options.trailing_silence, options.dtype, run.device, options.layer
        )
    run_job(encoder, items, options, shard, run.batch_seconds)


def run_jobs(
    jobs: Mapping[Shard, Sequence[Item]], options: FeatureOptions, run: RunOptions
) -> None:
    """Run several jobs, ``run.nj`` at a time, showing the progress.

    Args:
        jobs: where each is written -> its items.
        options: of the features.
        run: how they are made.

    Raises:
        UserError: the first one of any job; finished jobs stay.
    """
    CONVERSIONS.clear()
    progress = Progress("features", sum(map(len, jobs.values())), "utterances")
    # Threads, not processes: the encoder releases the interpreter, and is loaded once.
    with ThreadPoolExecutor(run.nj) as pool:
        futures = {
            pool.submit(_run_job_here, items, options, shard, run): len(items)
            for shard, items in jobs.items()
        }
        try:
            for future in as_completed(futures):
                future.result()
                progress.advance(futures[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.close()
    CONVERSIONS.say()
