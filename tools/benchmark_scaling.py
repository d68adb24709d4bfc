#!/usr/bin/env python3
"""How the time and the memory of a training step grow, measured, fitted and extrapolated.

    tools/benchmark_scaling.py [--model egs2/mini_multi/slm1/exp/mini/sft_s1] [--steps 10]
        [--hours 1000] [--processes 1 2 4 8 16 32 64] [--bandwidth 1.25e9]

Each point is a process of its own that trains on batches of a finished run as stage 9 does, with
an LLM of the same layout and another size, of random weights and without compression.
Floating-point operations are counted by PyTorch while the step runs; memory is the process's peak
beyond what it held before the model was built. Time is fitted as a + b * operations; memory as
c + d * (positions * width * layers) + 4 bytes for each frozen and 16 for each trained parameter,
where the LLM's positions are those of speech and text with their padding. What follows for more
processes is a prediction: each takes a batch of its own, and gradients of all trained parameters
go around once (2 (N - 1) / N times 4 bytes each), after the backward pass, at the given bandwidth
in bytes/s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet_otreg.errors import UserError, run_main

if TYPE_CHECKING:
    import numpy as np

RECIPE = Path(__file__).resolve().parent.parent / "egs2/mini_multi/slm1"
# Width and layers of the LLM; utterances in a batch.
POINTS = [(256, 4, 8), (256, 4, 16), (256, 4, 32), (512, 8, 8), (512, 8, 16), (768, 12, 8),
          (768, 12, 16), (1024, 16, 4)]  # fmt: skip
FROZEN_BYTES, TRAINED_BYTES, GRADIENT_BYTES = 4, 16, 4  # Adam keeps two moments
Point = dict[str, float]


def write_llm(source: Path, target: Path, width: int, layers: int) -> None:
    """An LLM of random weights in the layout and with the tokenizer of another one."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors"))
    config = AutoConfig.from_pretrained(source)
    heads = width // config.head_dim
    config.update({"hidden_size": width, "num_hidden_layers": layers,
                   "intermediate_size": width * 21 // 8, "num_attention_heads": heads,
                   "num_key_value_heads": heads})  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    # A fresh pad token is all zeros, which no anchor may be.
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.02)
    model.save_pretrained(target)


def measure(values: dict[str, Any], steps: int) -> Point:
    """One point: medians of time and operations, the peak of memory."""
    from benchmark_step import Training
    from torch.utils.flop_counter import FlopCounterMode

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    training = Training(values)
    decoder = training.model.llm.model.get_decoder()
    positions: list[int] = []
    decoder.register_forward_pre_hook(
        lambda module, inputs, keywords: positions.append(keywords["attention_mask"].numel()),
        with_kwargs=True,
    )
    seconds, operations, speech = [], [], 0.0
    for batch in training.batches(steps + 1):
        with FlopCounterMode(display=False) as counter:
            training.step(batch, ())
        operations.append(counter.get_total_flops())
        seconds.append(training.step(batch, ()))
        speech += float(batch["speech_lengths"].sum())
    parameters = list(training.model.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = decoder.config.hidden_size * decoder.config.num_hidden_layers
    return {
        "seconds": statistics.median(seconds[1:]),
        "operations": statistics.median(operations[1:]),
        "activations": max(positions) * size,
        "bytes": 1024.0 * (peak - before),
        "frozen": sum(p.numel() for p in parameters if not p.requires_grad),
        "trained": sum(p.numel() for p in parameters if p.requires_grad),
        "speech_seconds": speech / (steps + 1) * training.model.encoder.frame_seconds,
    }


def run_point(directory: Path, point: tuple[int, int, int], steps: int) -> Point:
    """``measure`` with the control's configuration, this LLM and this batch."""
    from benchmark_step import arm_values, arms_of

    width, layers, utterances = point
    values = arm_values(directory, arms_of(directory)[0])
    with tempfile.TemporaryDirectory() as folder:
        write_llm(Path(values["llm_conf"]["model"]), Path(folder, "llm"), width, layers)
        values["llm_conf"] = {**values["llm_conf"], "model": f"{folder}/llm"}
        values["compression_conf"] = {}  # an untrained projector would leave next to nothing
        values["batch_size"] = utterances
        return measure(values, steps)


def fit(points: list[Point], key: str, by: str, fixed: list[float]) -> tuple[np.ndarray, float]:
    """Coefficients of 1 and ``by`` that, plus ``fixed``, come near ``key``, and the largest error.

    Errors are parts of the measured value: of points that lie orders of magnitude apart, the
    largest alone would decide otherwise.
    """
    import numpy as np

    measured = np.array([point[key] for point in points])
    columns = np.array([[1.0, point[by]] for point in points]) / measured[:, None]
    wanted = 1 - np.array(fixed) / measured
    coefficients, *_ = np.linalg.lstsq(columns, wanted, rcond=None)
    return coefficients, float(np.abs(columns @ coefficients - wanted).max())


def weights(point: Point) -> float:
    """Bytes of parameters, their gradients and the optimiser's moments."""
    return FROZEN_BYTES * point["frozen"] + TRAINED_BYTES * point["trained"]


def report(points: list[Point], hours: float, processes: list[int], bandwidth: float) -> str:
    """The measured points, the fit, and what it predicts for the last point on more processes."""
    lines = [
        "| LLM width x layers | utterances | parameters, M | trained, M | operations, G "
        "| step, s | peak memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (width, layers, utterances), point in zip(POINTS, points, strict=True):
        total = (point["frozen"] + point["trained"]) / 1e6
        lines.append(
            f"| {width} x {layers} | {utterances} "
            f"| {total:.1f} | {point['trained'] / 1e6:.1f} | {point['operations'] / 1e9:.1f} "
            f"| {point['seconds']:.2f} | {point['bytes'] / 1e6:,.0f} |"
        )
    (start, slope), time_error = fit(points, "seconds", "operations", [0.0] * len(points))
    known = [weights(point) for point in points]
    (base, more), memory_error = fit(points, "bytes", "activations", known)
    last = points[-1]
    lines += [
        "",
        f"seconds = {start:.3f} + {slope * 1e9:.4f} * G operations "
        f"(largest error {100 * time_error:.0f} %)",
        f"MB = {base / 1e6:.0f} + {more:.0f} bytes * positions * width * layers + 4 bytes * frozen "
        f"+ 16 bytes * trained parameters (largest error {100 * memory_error:.0f} %)",
        "",
        f"Prediction for the last point and {hours:,.0f} hours of speech, "
        f"at {bandwidth / 1e9:.2f} GB/s between processes:",
        "",
        "| processes | sent by each per step, MB | step, s | an epoch, hours | of ideal |",
        "|---:|---:|---:|---:|---:|",
    ]
    for count in processes:
        sent = 2 * (count - 1) / count * GRADIENT_BYTES * last["trained"]
        step = last["seconds"] + sent / bandwidth
        epoch = hours * 3600 / last["speech_seconds"] / count * step / 3600
        lines.append(
            f"| {count} | {sent / 1e6:.1f} | {step:.2f} | {epoch:,.1f} "
            f"| {100 * last['seconds'] / step:.0f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path, default=RECIPE / "exp/mini/sft_s1")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--hours", type=float, default=1000.0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes/s; 10 Gbit/s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--point", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < 1:
        raise UserError("expected at least 1", f"--steps {arguments.steps}")
    import torch

    directory = Path(os.path.abspath(arguments.model))
    if arguments.point is not None:
        os.chdir(directory.parents[2])  # what a run's paths are relative to
        torch.set_num_threads(arguments.threads)
        print(json.dumps(run_point(directory, POINTS[arguments.point], arguments.steps)))
        return
    points: list[Point] = []
    for index in range(len(POINTS)):
        # Each in its own process, whose peak is its own.
        print(f"point {index + 1} of {len(POINTS)}", file=sys.stderr, flush=True)
        command = [sys.executable, *sys.argv, "--point", str(index)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        points.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.steps} steps\n")
    print(report(points, arguments.hours, arguments.processes, arguments.bandwidth))


if __name__ == "__main__":
    run_main(main)
