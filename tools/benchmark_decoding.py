#!/usr/bin/env python3
"""What batches are worth in decoding, in one run: the same utterances one by one and together.

    tools/benchmark_decoding.py [--model egs2/mini_multi/slm1/exp/mini/otreg_s1] [--set test]

A finished run decodes the first utterances of a set from their features, with each batch size in
turn: encoding, prompt, search and scores, everything but reading the features and loading the
model. Times are medians of rounds; "times as fast" is the median over rounds of the time one by
one by that of the batches. "equal" counts the utterances with the same text as one by one: where
two tokens are equally likely to the last bit but one, rounding decides, which depends on shapes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from espnet_otreg.decoding.data import Speech, make_batches, read_data_set
from espnet_otreg.decoding.options import DecodingOptions
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.decoding.run import load_speech
from espnet_otreg.errors import UserError, run_main
from espnet_otreg.slm.build import load_model

RECIPE = Path(__file__).resolve().parent.parent / "egs2/mini_multi/slm1"
Batch = tuple[list[Speech], torch.Tensor, torch.Tensor]


def read_batches(utterances: Sequence[Speech], size: int) -> list[Batch]:
    """Utterances alike in length with their features."""
    return [(batch, *load_speech(batch, True)) for batch in make_batches(utterances, size)]


def decode(recognizer: Recognizer, batches: Sequence[Batch]) -> tuple[float, dict[str, str]]:
    """Seconds, and the likeliest text of each utterance."""
    texts = {}
    started = time.perf_counter()
    for batch, speech, lengths in batches:
        languages, seconds = [u.language for u in batch], [u.seconds for u in batch]
        found = recognizer(speech, lengths, languages, seconds, ["llm"]).hypotheses["llm"]
        texts |= {u.key: several[0].text for u, several in zip(batch, found, strict=True)}
    return time.perf_counter() - started, texts


def table(
    recognizer: Recognizer, utterances: Sequence[Speech], sizes: Sequence[int], rounds: int
) -> str:
    """All batch sizes beside one by one."""
    batches = {size: read_batches(utterances, size) for size in (1, *sizes)}
    times: dict[int, list[float]] = {size: [] for size in batches}
    texts: dict[int, dict[str, str]] = {}
    for size in batches:
        decode(recognizer, batches[size][:1])  # warms up
    for _ in range(rounds):
        for size in batches:
            seconds, texts[size] = decode(recognizer, batches[size])
            times[size].append(seconds)
    lines = [
        "| batch size | seconds | utterances a second | times as fast | equal |",
        "|---:|---:|---:|---:|---:|",
    ]
    count = len(utterances)
    for size, own in times.items():
        median = statistics.median(own)
        ratio = statistics.median(one / mine for one, mine in zip(times[1], own, strict=True))
        equal = sum(texts[size][key] == text for key, text in texts[1].items())
        cells = [str(size), f"{median:.2f}", f"{count / median:.2f}", f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {equal} of {count} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--model", type=Path, default=RECIPE / "exp/mini/otreg_s1",
        help="a finished run of the recipe, exp/PRESET/RUN below the recipe's directory",
    )  # fmt: skip
    parser.add_argument("--set", default="test", help="a set of the recipe")
    parser.add_argument("--utterances", type=int, default=128, help="of the set, evenly spread")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--num_beams", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.utterances, *arguments.batch_sizes) < 1:
        raise UserError("expected at least 1", "--rounds, --utterances, --batch_sizes")
    directory = Path(os.path.abspath(arguments.model))
    os.chdir(directory.parents[2])  # what a run's paths are relative to
    torch.set_num_threads(arguments.threads)
    recognizer = Recognizer(load_model(directory), DecodingOptions(num_beams=arguments.num_beams))
    (features,) = Path("dump/features").glob(f"*/{arguments.set}")
    utterances = read_data_set(features, precomputed=True).utterances
    chosen = utterances[:: max(1, len(utterances) // arguments.utterances)][: arguments.utterances]
    print(
        f"torch {torch.__version__}, {arguments.threads} threads, {len(chosen)} utterances of "
        f"{arguments.set}, {arguments.num_beams} beams\n",
        flush=True,
    )
    print(table(recognizer, chosen, arguments.batch_sizes, arguments.rounds))


if __name__ == "__main__":
    run_main(main)
