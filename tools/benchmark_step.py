#!/usr/bin/env python3
"""What each regularizer costs inside a real training step of the recipe, in one run.

    tools/benchmark_step.py [--model egs2/mini_multi/slm1/exp/mini/sft_s1] [--rounds 60] [--json F]

The model is that of a finished run, trained on as the arms of its experiment are: the configuration
of the control (the baseline of the primary pair), the run's checkpoint and training data, forward,
backward, clipping and optimiser step. The learning rate is zero, so that all contenders take the
same step: they take turns on one batch in every round, with the same random numbers, each round
beginning with another of them. Times are medians; "of the control" is the median over rounds of
step by control's step, with the 95 % interval that the order statistics give; "alone" is the
regularizers' forward and backward to the projector's output.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.train.distributed_utils import DistributedOption
from torch import Tensor

from espnet_otreg.errors import UserError, run_main
from espnet_otreg.experiment import Training as Planned
from espnet_otreg.experiment import load_experiment
from espnet_otreg.files import read_yaml, write_json
from espnet_otreg.objectives.training import build_training_model
from espnet_otreg.regularizers import NamedRegularizer, parse_regularizers
from espnet_otreg.regularizers.combine import apply_regularizers
from espnet_otreg.slm.build import checkpoint_file
from espnet_otreg.slm.checkpoint import naming_checkpoint
from espnet_otreg.slm.embeddings import mask_from_lengths
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.model_dir import read_model_values
from espnet_otreg.tasks.slm import SLMTask

RECIPE = Path(__file__).resolve().parent.parent / "egs2/mini_multi/slm1"
Batch = dict[str, Tensor]
Costs = dict[str, float]


def arms_of(directory: Path) -> list[Planned]:
    """The control of the experiment that a run belongs to, and the runs of the same stage.

    Raises:
        UserError: if the experiment compares nothing.
    """
    experiment = load_experiment(directory.parent)
    if experiment.primary is None:
        raise UserError("no pair is primary", str(directory.parent), "name one in experiment.yaml")
    control = experiment.training(experiment.primary.baseline)
    beside = (t for t in experiment.trainings if (t.stage, t.seed) == (control.stage, control.seed))
    return [control, *(training for training in beside if training.name != control.name)]


def arm_values(directory: Path, control: Planned) -> dict[str, Any]:
    """What an arm would train with: the run's values under those of the control's YAML."""
    values = {**read_model_values(directory), "train": [], "freeze": [], "regularizers": []}
    for key, value in read_yaml(control.config).items():
        both = isinstance(value, dict) and isinstance(values.get(key), dict)
        values[key] = {**values[key], **value} if both else value
    return values


def read_contenders(arms: Sequence[Planned]) -> dict[str, tuple[NamedRegularizer, ...]]:
    """The regularizers of the control, which come first, and of every other arm."""
    return {
        arm.name: tuple(parse_regularizers(read_yaml(arm.config).get("regularizers") or []))
        for arm in arms
    }


class Training:
    """A model in training, its optimiser and its data.

    Args:
        values: the configuration to train with; the paths that it names must be valid from here.
        directory: of the finished run that is trained on; None to begin anew.
    """

    def __init__(self, values: dict[str, Any], directory: Path | None = None) -> None:
        self.model: SpokenLanguageModel = build_training_model(values)
        if directory is not None:
            checkpoint = checkpoint_file(directory)
            with naming_checkpoint(checkpoint):
                self.model.load_state_dict(torch.load(checkpoint, weights_only=True))
        self.model.train()
        self.model.step = sys.maxsize  # past every first step and warm-up
        self.arguments = argparse.Namespace(**values)
        self.optimizer = SLMTask.build_optimizers(self.arguments, self.model)[0]
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0

    def batches(self, count: int) -> Iterator[Batch]:
        """The first batches of the training, epoch after epoch."""
        factory = SLMTask.build_iter_factory(self.arguments, DistributedOption(), "train")
        epoch = 0
        while count > 0:
            epoch += 1
            for _, batch in factory.build_iter(epoch):
                if count > 0:
                    yield batch
                count -= 1

    def step(self, batch: Batch, regularizers: tuple[NamedRegularizer, ...]) -> float:
        """Seconds of one training step."""
        self.model.config = dataclasses.replace(self.model.config, regularizers=regularizers)
        self.model.remember_start()
        started = time.perf_counter()
        loss, _, _ = self.model(**batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.arguments.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - started

    def alone(self, batch: Batch, regularizers: tuple[NamedRegularizer, ...]) -> float:
        """Seconds of the regularizers' value and its gradient for the projector's output."""
        with torch.no_grad():
            embeddings = self.model.encode(batch["speech"], batch["speech_lengths"])
        speech = embeddings.values.requires_grad_()
        embeddings = dataclasses.replace(embeddings, values=speech)
        text = batch["text"], mask_from_lengths(batch["text_lengths"], batch["text"].size(1))
        started = time.perf_counter()
        aligned = self.model.alignment_batch(embeddings, *text, speech.detach())
        term, _ = apply_regularizers(regularizers, aligned, self.model.step)
        if term is not None:
            term.backward()
        return time.perf_counter() - started


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Order statistics between which the median lies with 95 % confidence."""
    ordered, count = sorted(values), len(values)
    skipped = max(0, int(count / 2 - 0.98 * count**0.5))
    return ordered[skipped], ordered[count - 1 - skipped]


def measure(
    training: Training, contenders: dict[str, tuple[NamedRegularizer, ...]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of every round, of whole steps and of the regularizers alone, by contender."""
    steps: dict[str, list[float]] = {name: [] for name in contenders}
    alone: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for index, batch in enumerate(training.batches(rounds + 1)):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            torch.manual_seed(index)  # dropout and SpecAug: how many frames are kept
            steps[name].append(training.step(batch, contenders[name]))
            alone[name].append(training.alone(batch, contenders[name]))
    # The first round warms up.
    return {n: s[1:] for n, s in steps.items()}, {n: s[1:] for n, s in alone.items()}


def summary(steps: dict[str, list[float]], alone: dict[str, list[float]]) -> dict[str, Costs]:
    """Medians by contender: milliseconds, and multiples of the first one's step."""
    costs = {}
    control = next(iter(steps))
    for name, own in steps.items():
        pairs = list(zip(own, steps[control], alone[name], strict=True))
        ratios = [mine / plain for mine, plain, _ in pairs]
        low, high = median_interval(ratios)
        costs[name] = {
            "milliseconds": 1000 * statistics.median(own),
            "ratio": statistics.median(ratios),
            "low": low,
            "high": high,
            "more": 1000 * statistics.median(mine - plain for mine, plain, _ in pairs),
            "alone": 1000 * statistics.median(alone[name]),
            "alone_ratio": statistics.median(apart / plain for _, plain, apart in pairs),
        }
    return costs


def table(costs: dict[str, Costs]) -> str:
    """All contenders beside the control."""
    lines = [
        "| arm | step, ms | of the control | 95 % interval | more, ms | alone, ms "
        "| alone, of the control |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for place, (name, cost) in enumerate(costs.items()):
        cells = [name, f"{cost['milliseconds']:.0f}"]
        if place > 0:
            cells += [f"{cost['ratio']:.3f}", f"{cost['low']:.3f} to {cost['high']:.3f}"]
            cells += [f"{cost['more']:.1f}", f"{cost['alone']:.1f}", f"{cost['alone_ratio']:.3f}"]
        lines.append(f"| {' | '.join(cells + ['-'] * (7 - len(cells)))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--model", type=Path, default=RECIPE / "exp/mini/sft_s1",
        help="a finished run of the recipe, exp/PRESET/RUN below the recipe's directory",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the figures, too")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        raise UserError("expected at least 1", f"--rounds {arguments.rounds}")
    directory = Path(os.path.abspath(arguments.model))
    output = arguments.json and Path(os.path.abspath(arguments.json))
    arms = arms_of(directory)
    os.chdir(directory.parents[2])  # what a run's paths are relative to
    torch.set_num_threads(arguments.threads)
    training = Training(arm_values(directory, arms[0]), directory)
    print(
        f"torch {torch.__version__}, {arguments.threads} threads, {arguments.rounds} rounds, "
        f"batches of {training.arguments.batch_size} utterances\n",
        flush=True,
    )
    costs = summary(*measure(training, read_contenders(arms), arguments.rounds))
    print(table(costs))
    if output:
        write_json(output, {"threads": arguments.threads, "arms": costs})


if __name__ == "__main__":
    run_main(main)
