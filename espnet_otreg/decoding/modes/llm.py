"""Greedy or beam search with the LLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espnet_otreg.decoding.modes.base import Searches
from espnet_otreg.decoding.modes.registry import MODES

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.encoded import EncodedSpeech
    from espnet_otreg.decoding.hypothesis import Hypothesis


@MODES.register("llm")
@dataclass(frozen=True)
class LLM(Searches):
    """The likeliest tokens that the LLM goes on with behind prompt and speech."""

    title = "LLM"
    summary = "greedy or beam search with the LLM"

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> list[list[Hypothesis]]:
        """The n-best, with the log-probability of tokens and end."""
        limits = batch.limits(self.tokens_per_second, self.extra_tokens)
        return context.scored(batch.prefixes, batch.search(self.num_beams, limits))
