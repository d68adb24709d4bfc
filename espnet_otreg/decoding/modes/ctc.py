"""The best path of the projector's CTC read-out; the LLM is not run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espnet_otreg.decoding.hypothesis import Hypothesis
from espnet_otreg.decoding.modes.base import READOUT, Mode
from espnet_otreg.decoding.modes.registry import MODES

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.encoded import EncodedSpeech


@MODES.register("ctc")
@dataclass(frozen=True)
class CTC(Mode):
    """The likeliest class of every frame."""

    title = "CTC read-out"
    summary = "best path of the projector's CTC read-out"
    needs = frozenset({READOUT})

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> list[list[Hypothesis]]:
        """One hypothesis each, with the log-probability of its path."""
        from espnet_otreg.decoding.ctc import best_paths

        maps = context.maps
        return [
            [Hypothesis(maps.text_of(maps.tokens_of(classes)), score)]
            for log_probs, heard in zip(batch.log_probs, batch.embeddings, strict=True)
            for classes, score in best_paths(log_probs, heard.mask)
        ]
