"""How to decode; torch is not needed to check it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.ranges import BATCH_SIZE, SEED, Range, require_in_range

# What each way of decoding reads: the projector's CTC read-out, the LLM, both, or the LLM's
# floors, which show how much it would say without listening.
MODES = {
    "ctc": "best path of the projector's CTC read-out",
    "llm": "greedy or beam search with the LLM",
    "sample": "the likeliest of several samples of the LLM",
    "joint": "n-best of both, scored by both",
    "llm_shuffled": "floor: the LLM on the speech of another utterance of the same language",
    "llm_no_speech": "floor: the LLM on silence alone",
}

RANGES = {
    "num_beams": Range(1, 1000, whole=True),
    "num_samples": Range(0, 1000, whole=True),
    "temperature": Range(0.01, 100),
    "seed": SEED,
    "ctc_beam": Range(1, 10_000, whole=True),
    "num_candidates": Range(1, 10_000, whole=True),
    "tokens_per_second": Range(0, 1000),
    "extra_tokens": Range(1, 100_000, whole=True),
}
# Of espnet_otreg.decoding.joint.JointWeights.
WEIGHT_RANGES = {
    "weight": Range(0, 1),
    "length_bonus": Range(-1000, 1000),
    "prior_weight": Range(-1000, 1000),
}
WORK_RANGES = {
    "batch_size": BATCH_SIZE,
    "job": Range(1, 1_000_000, whole=True),
    "num_jobs": Range(1, 1_000_000, whole=True),
}

# The modes that read an option; those that are not here are read by all, or by all but ctc.
_READ_BY = {
    "num_beams": ("llm", "llm_shuffled", "joint"),
    "num_samples": ("sample", "joint"),
    "temperature": ("sample", "joint"),
    "seed": ("sample", "joint"),
    "ctc_beam": ("joint",),
    "num_candidates": ("joint",),
    "tokens_per_second": tuple(mode for mode in MODES if mode != "ctc"),
    "extra_tokens": tuple(mode for mode in MODES if mode != "ctc"),
    "joint_weight": ("joint",),
    "prior_weight": ("joint",),
    "length_bonus": ("joint",),
}


@dataclass(frozen=True)
class DecodingOptions:
    """Settings of all modes; :data:`RANGES` has what each may be.

    Args:
        num_beams: 1 is greedy; more is beam search, whose n-best are as many (llm, joint).
        num_samples: samples of the LLM per utterance (sample; more candidates for joint).
        temperature: of sampling.
        seed: of sampling; the same seed and batches give the same samples.
        ctc_beam: width of the CTC prefix beam search (joint).
        num_candidates: CTC hypotheses kept for joint.
        tokens_per_second, extra_tokens: length limit of the LLM's hypotheses.

    Raises:
        ConfigErrors: with every setting that is outside its range.

    >>> DecodingOptions(num_beams=0)
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.ConfigErrors: 1 configuration error: (1) num_beams: expected a whole \
number from 1 to 1000, found 0
    """

    num_beams: int = 1
    num_samples: int = 0
    temperature: float = 1.0
    seed: int = 0
    ctc_beam: int = 16
    num_candidates: int = 8
    tokens_per_second: float = 12.0
    extra_tokens: int = 10

    def __post_init__(self) -> None:
        require_in_range(vars(self), RANGES)

    def limits(self, seconds: Sequence[float]) -> list[int]:
        """The most tokens an utterance of each duration may get, so that a loop ends.

        Raises:
            UserError: if a duration is not finite or negative.

        >>> DecodingOptions(tokens_per_second=12, extra_tokens=10).limits([0.0, 1.25])
        [10, 25]
        """
        for duration in seconds:
            if not 0 <= duration < math.inf:
                raise UserError(f"a duration of {duration} s", mend="give 0 or more seconds")
        return [int(self.tokens_per_second * s) + self.extra_tokens for s in seconds]


def check_modes(modes: Sequence[str], options: DecodingOptions) -> None:
    """Find modes that do not exist or lack their option; one that is named twice is done once.

    Raises:
        ConfigErrors: with all of them.

    >>> check_modes(["lmm"], DecodingOptions())
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.ConfigErrors: 1 configuration error: (1) mode 'lmm': there is no such \
mode; did you mean 'llm'?
    """
    if isinstance(modes, str) or not modes:
        known = ", ".join(MODES)
        raise ConfigErrors([f"modes: expected a list of {known}, found {modes!r}"])
    errors = [
        f"mode {mode!r}: there is no such mode; {did_you_mean(str(mode), MODES)}"
        for mode in modes
        if mode not in MODES
    ]
    if "sample" in modes and not options.num_samples:
        errors.append("mode 'sample': needs --num_samples of 1 or more")
    if errors:
        raise ConfigErrors(errors)


def without_effect(chosen: Mapping[str, Any], modes: Sequence[str]) -> list[str]:
    """One sentence for every option that the user has chosen and no mode reads.

    Args:
        chosen: options of ``slm_decode`` that differ from their defaults.
        modes: of :data:`MODES`.

    >>> without_effect({"ctc_beam": 4}, ["ctc", "llm"])
    ['--ctc_beam has no effect without mode joint']
    >>> without_effect({"seed": 4}, ["joint"])
    ['--seed has no effect without --num_samples']
    >>> without_effect({"joint_weight_dev": "dev", "length_bonus": 1.0}, ["joint"])
    ['--length_bonus has no effect beside --joint_weight_dev, which chooses it']
    """
    sentences = []
    for name in chosen:
        readers = _READ_BY.get(name, tuple(MODES))
        if not set(readers) & set(modes):
            few = f"without mode {' or '.join(readers)}" if len(readers) < 5 else "in mode ctc"
            sentences.append(f"--{name} has no effect {few}")
        elif name in ("temperature", "seed") and not chosen.get("num_samples"):
            sentences.append(f"--{name} has no effect without --num_samples")
        elif name in ("length_bonus", "prior_weight") and chosen.get("joint_weight_dev"):
            sentences.append(f"--{name} has no effect beside --joint_weight_dev, which chooses it")
    return sentences
