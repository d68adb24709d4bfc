"""The likeliest of several samples of the LLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espnet_otreg.decoding.modes.base import PROMPT, SAMPLES, Samples
from espnet_otreg.decoding.modes.registry import MODES

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.encoded import EncodedSpeech
    from espnet_otreg.decoding.hypothesis import Hypothesis


@MODES.register("sample")
@dataclass(frozen=True)
class Sample(Samples):
    """Samples of the LLM's own distribution, listed by their probability."""

    title = "best of samples"
    summary = "the likeliest of several samples of the LLM"
    needs = frozenset({PROMPT, SAMPLES})

    def lacks(self) -> list[str]:
        """Samples, unless somebody says how many."""
        return [] if self.num_samples else ["needs --num_samples of 1 or more"]

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> list[list[Hypothesis]]:
        """The samples, with the log-probability of tokens and end."""
        limits = batch.limits(self.tokens_per_second, self.extra_tokens)
        drawn = batch.sample(self.num_samples, self.temperature, self.seed, limits)
        return context.scored(batch.prefixes, drawn)
