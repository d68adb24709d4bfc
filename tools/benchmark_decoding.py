#!/usr/bin/env python3
"""What batches are worth in decoding, in one run: the same utterances one by one and together.

    tools/benchmark_decoding.py [--model egs2/mini_multi/slm1/exp/mini/otreg_s1] [--set test]

A finished run decodes a set from its features, with each batch size in turn: encoding, prompt,
search and scores, everything but reading the features and loading the model. Times are medians
of rounds; "times as fast" is the median over rounds of the time one by one by that of the
batches. "equal" counts the utterances with the same text as one by one: where two tokens are
equally likely to the last bit but one, rounding decides, which depends on shapes.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from espnet_otreg.decoding.data import DataSet, read_data_set
from espnet_otreg.decoding.encoded import SpeechBatch
from espnet_otreg.decoding.modes import Mode, configure_modes
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.decoding.run import load_speech, plan
from espnet_otreg.errors import UserError, run_main
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.trained_languages import read_trained_languages

RECIPE = Path(__file__).resolve().parent.parent / "egs2/mini_multi/slm1"


class Contender:
    """A batch size with the utterances as the recipe cuts them for it."""

    def __init__(
        self, model: SpokenLanguageModel, modes: Mapping[str, Mode], data: DataSet, size: int
    ) -> None:
        self.recognizer, self.modes = Recognizer(model, size), modes
        works = plan(data, modes, Path(), {}, size)
        self.keys = [u.key for work in works for batch in work.batches for u in batch]
        self.parts = [[load_speech(batch, True) for batch in work.batches] for work in works]
        self.times: list[float] = []
        self.texts: dict[str, str] = {}
        self._decode(self.parts[0][:1])  # warms up

    def _decode(self, part: Sequence[SpeechBatch]) -> list[str]:
        found = self.recognizer(part, self.modes)["llm"]
        return [several[0].text for several in found]

    def run(self) -> None:
        """Decode everything once."""
        started = time.perf_counter()
        texts = [text for part in self.parts for text in self._decode(part)]
        self.times.append(time.perf_counter() - started)
        self.texts = dict(zip(self.keys, texts, strict=True))


def table(
    model: SpokenLanguageModel,
    modes: Mapping[str, Mode],
    data: DataSet,
    sizes: Sequence[int],
    rounds: int,
) -> str:
    """All batch sizes beside one by one."""
    contenders = {size: Contender(model, modes, data, size) for size in (1, *sizes)}
    alone = contenders[1]
    for _ in range(rounds):
        for contender in contenders.values():
            contender.run()
    lines = [
        "| batch size | seconds | utterances a second | times as fast | equal |",
        "|---:|---:|---:|---:|---:|",
    ]
    count = len(data.utterances)
    for size, own in contenders.items():
        median = statistics.median(own.times)
        pairs = zip(alone.times, own.times, strict=True)
        ratio = statistics.median(one / mine for one, mine in pairs)
        equal = sum(own.texts[key] == text for key, text in alone.texts.items())
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
    parser.add_argument("--utterances", type=int, help="of the set, evenly spread; default: all")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--num_beams", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    utterances = 1 if arguments.utterances is None else arguments.utterances
    if min(arguments.rounds, utterances, *arguments.batch_sizes) < 1:
        raise UserError("expected at least 1", "--rounds, --utterances, --batch_sizes")
    directory = Path(os.path.abspath(arguments.model))
    os.chdir(directory.parents[2])  # what a run's paths are relative to
    torch.set_num_threads(arguments.threads)
    modes = configure_modes(["llm"], {"num_beams": arguments.num_beams})
    (features,) = Path("dump/features").glob(f"*/{arguments.set}")
    data = read_data_set(features, True, read_trained_languages(directory))
    count = min(arguments.utterances or len(data.utterances), len(data.utterances))
    chosen = data.utterances[:: len(data.utterances) // count][:count]
    print(
        f"torch {torch.__version__}, {arguments.threads} threads, {len(chosen)} utterances of "
        f"{arguments.set}, {arguments.num_beams} beams\n",
        flush=True,
    )
    some = dataclasses.replace(data, utterances=chosen)
    model = load_model(directory)
    model.llm.merge_adapter()  # once, not with every part
    print(table(model, modes, some, arguments.batch_sizes, arguments.rounds))


if __name__ == "__main__":
    run_main(main)
