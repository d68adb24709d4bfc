"""How to decode; torch is not needed to check it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import ConfigErrors

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


@dataclass(frozen=True)
class DecodingOptions:
    """Settings of all modes.

    Args:
        num_beams: 1 is greedy; more is beam search, whose n-best are as many (llm, joint).
        num_samples: samples of the LLM per utterance (sample; more candidates for joint).
        temperature: of sampling.
        seed: of sampling; the same seed and batches give the same samples.
        ctc_beam: width of the CTC prefix beam search (joint).
        num_candidates: CTC hypotheses kept for joint.
        tokens_per_second, extra_tokens: length limit of the LLM's hypotheses.

    >>> DecodingOptions(num_beams=0)
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.ConfigErrors: 1 configuration error: (1) num_beams: must be positive, \
found 0
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
        positive = ("num_beams", "temperature", "ctc_beam", "num_candidates", "extra_tokens")
        errors = [
            f"{name}: must be positive, found {getattr(self, name)}"
            for name in positive
            if getattr(self, name) <= 0
        ] + [
            f"{name}: must not be negative, found {getattr(self, name)}"
            for name in ("num_samples", "tokens_per_second")
            if getattr(self, name) < 0
        ]
        if errors:
            raise ConfigErrors(errors)

    def limits(self, seconds: Sequence[float]) -> list[int]:
        """The most tokens an utterance of each duration may get, so that a loop ends.

        >>> DecodingOptions(tokens_per_second=12, extra_tokens=10).limits([0.0, 1.25])
        [10, 25]
        """
        return [int(self.tokens_per_second * s) + self.extra_tokens for s in seconds]


def check_modes(modes: Sequence[str], options: DecodingOptions) -> None:
    """Find modes that do not exist or lack their option.

    Raises:
        ConfigErrors: with all of them.

    >>> check_modes(["lmm"], DecodingOptions())
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.ConfigErrors: 1 configuration error: (1) mode 'lmm': there is no such \
mode; did you mean 'llm'?
    """
    errors = [
        f"mode {mode!r}: there is no such mode; {did_you_mean(mode, MODES)}"
        for mode in modes
        if mode not in MODES
    ]
    if "sample" in modes and not options.num_samples:
        errors.append("mode 'sample': needs --num_samples of 1 or more")
    if errors:
        raise ConfigErrors(errors)
