"""A floor: what the LLM writes for the speech of another utterance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from espnet_otreg.decoding.modes.llm import LLM
from espnet_otreg.decoding.modes.registry import MODES

if TYPE_CHECKING:
    from espnet_otreg.decoding.data import DataSet
    from espnet_otreg.decoding.parts import Merged


@MODES.register("llm_shuffled")
@dataclass(frozen=True)
class LLMShuffled(LLM):
    """The hypotheses of mode llm, passed round: prompt and LLM are the same within a language."""

    title = "wrong speech (floor)"
    summary = "floor: the LLM on the speech of another utterance of the same language"
    floor = True
    source = "llm"

    def finish(self, merged: Merged, data: DataSet) -> Merged:
        """Give every utterance the hypothesis of another."""
        from espnet_otreg.decoding.data import mismatched
        from espnet_otreg.decoding.parts import Merged

        given = mismatched(data.utterances)
        return Merged(
            text={key: merged.text[other] for key, other in given.items()},
            score={key: merged.score[other] for key, other in given.items()},
            nbest={},
            candidates={},
            limit_reached={key for key, other in given.items() if other in merged.limit_reached},
            seconds=0.0,
        )
