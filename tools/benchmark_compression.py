#!/usr/bin/env python3
"""What compression of the speech embeddings saves at inference, in one run.

    tools/benchmark_compression.py [--model egs2/mini_multi/slm1/exp/mini/otreg_s1] [--set test]

The LLM of a finished run reads the prompt with the speech of a test set and then writes the
reference transcripts token by token, with each way of compression in turn on the same batches.
"kept" is the share of the projector's frames that the LLM reads; "reading" holds compression and
the prompt with the speech, "writing" the transcript. Times are medians of rounds, ratios the median
over rounds of a way's time by that without compression. How well the LLM understands what it reads
is not asked here: it has learnt to read one of these ways, and error rates are the recipe's affair.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.decoding.state import read_prefix
from espnet_otreg.errors import run_main
from espnet_otreg.report.utterances import Utterance, read_utterances, stream_speech
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.compression import compress
from espnet_otreg.slm.config import CompressionConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings, mask_from_lengths
from espnet_otreg.slm.model import SpokenLanguageModel

RECIPE = Path(__file__).resolve().parent.parent / "egs2/mini_multi/slm1"
NONE = "none"
WAYS = {
    NONE: CompressionConfig(),
    "similarity, 0.9": CompressionConfig("similarity", 0.9, 0.9),
    "similarity, 0.8": CompressionConfig("similarity", 0.8, 0.8),
    "ctc": CompressionConfig("ctc"),
}
Batch = tuple[SpeechEmbeddings, list[str], torch.Tensor]


def make_batches(
    model: SpokenLanguageModel, utterances: Sequence[Utterance], size: int
) -> list[Batch]:
    """Projected speech, languages and token ids of utterances alike in length."""
    embedded = {u.key: values for u, values in stream_speech(model, utterances)}
    ordered = sorted(utterances, key=lambda u: len(embedded[u.key]))
    batches = []
    for start in range(0, len(ordered), size):
        chosen = ordered[start : start + size]
        values = pad_sequence([embedded[u.key] for u in chosen], batch_first=True)
        lengths = torch.tensor([len(embedded[u.key]) for u in chosen])
        speech = SpeechEmbeddings(values, mask_from_lengths(lengths, values.size(1)), 0.0)
        tokens = pad_sequence([torch.tensor(u.tokens) for u in chosen], batch_first=True)
        batches.append((speech, [u.language for u in chosen], tokens))
    return batches


@torch.inference_mode()
def measure(
    model: SpokenLanguageModel, batch: Batch, way: CompressionConfig
) -> tuple[float, float, int]:
    """Seconds of reading and of writing a batch, and the frames kept."""
    speech, languages, tokens = batch
    started = time.perf_counter()
    compressed = compress(speech, way, model.readout, model.anchor())
    reader = read_prefix(model.llm, model.assemble(compressed, languages, padding_side="left"))
    read = time.perf_counter()
    for step in tokens.split(1, dim=1):
        model.llm.logits(reader.read(step))
    return read - started, time.perf_counter() - read, int(compressed.mask.sum())


def table(model: SpokenLanguageModel, batches: Sequence[Batch], rounds: int) -> str:
    """All ways beside none."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    kept = dict.fromkeys(WAYS, 0)
    for _ in range(rounds + 1):  # the first round warms up
        sums = {name: [0.0, 0.0] for name in WAYS}
        kept = dict.fromkeys(WAYS, 0)
        for batch in batches:
            for name, way in WAYS.items():
                reading, writing, frames = measure(model, batch, way)
                sums[name][0] += reading
                sums[name][1] += writing
                kept[name] += frames
        for name, (reading, writing) in sums.items():
            times[name].append((reading, writing))
    lines = [
        "| compression | kept, % | reading, s | times as fast | reading + writing, s "
        "| times as fast |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in WAYS:
        cells = [name, f"{100 * kept[name] / kept[NONE]:.1f}"]
        for parts in (1, 2):
            own, plain = ([sum(t[:parts]) for t in times[n][1:]] for n in (name, NONE))
            ratio = statistics.median(p / o for o, p in zip(own, plain, strict=True))
            cells += [f"{statistics.median(own):.2f}", f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--model", type=Path, default=RECIPE / "exp/mini/otreg_s1",
        help="a finished run of the recipe, exp/PRESET/RUN below the recipe's directory",
    )  # fmt: skip
    parser.add_argument("--set", default="test", help="a test set of the recipe")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    directory = Path(os.path.abspath(arguments.model))
    os.chdir(directory.parents[2])  # what a run's paths are relative to
    torch.set_num_threads(arguments.threads)
    model = load_model(directory)
    model.llm.merge_adapter()
    (features,) = Path("dump/features").glob(f"*/{arguments.set}")
    utterances = read_utterances(features, model)
    batches = make_batches(model, utterances, arguments.batch_size)
    print(
        f"torch {torch.__version__}, {arguments.threads} threads, {len(utterances)} utterances "
        f"of {arguments.set} in batches of {arguments.batch_size}\n",
        flush=True,
    )
    print(table(model, batches, arguments.rounds))


if __name__ == "__main__":
    run_main(main)
