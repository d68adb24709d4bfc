"""What CTC and the LLM find together and each alone, scored by both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.joint import JOINT_GRID, SEARCH_WEIGHTS, WEIGHT_RANGES, JointWeights
from espnet_otreg.decoding.modes.base import PROMPT, READOUT, Samples, Searches, option
from espnet_otreg.decoding.modes.registry import MODES
from espnet_otreg.decoding.modes.weighed import Weighed
from espnet_otreg.ranges import Range

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.encoded import EncodedSpeech

_DEFAULT = JointWeights()


@MODES.register("joint")
@dataclass(frozen=True)
class Joint(Samples, Searches, Weighed):
    """The best of a joint search and of the n-best of both; see
    :class:`espnet_otreg.decoding.joint_search.JointSearch`."""

    title = "joint CTC + LLM"
    summary = "search by CTC and the LLM together, scored by both"
    needs = frozenset({PROMPT, READOUT}) | Weighed.needs
    grid = JOINT_GRID
    file = "joint"
    choosing = {
        "weight": "joint_weight",
        "length_bonus": "length_bonus",
        "prior_weight": "prior_weight",
    }
    searching = {
        "weight": "search_weight",
        "length_bonus": "search_bonus",
        "prior_weight": "search_prior",
    }

    joint_beam: int = option(8, "prefixes kept in the search", Range(1, 1000, whole=True))
    joint_margin: float = option(12.0, "how far they may lie behind the best", Range(0, 1e6))
    search_weight: float = option(
        SEARCH_WEIGHTS.weight, "of the LLM in the search", WEIGHT_RANGES["weight"]
    )
    search_prior: float = option(
        SEARCH_WEIGHTS.prior_weight, "of the LLM alone in the search", WEIGHT_RANGES["prior_weight"]
    )
    search_bonus: float = option(
        SEARCH_WEIGHTS.length_bonus, "per token in the search", WEIGHT_RANGES["length_bonus"]
    )
    joint_weight: float = option(
        _DEFAULT.weight, "of the LLM", WEIGHT_RANGES["weight"],
        when_done=True, alternatives="weights",
    )  # fmt: skip
    prior_weight: float = option(
        _DEFAULT.prior_weight, "of the LLM alone", WEIGHT_RANGES["prior_weight"],
        when_done=True,
    )  # fmt: skip
    length_bonus: float = option(
        _DEFAULT.length_bonus, "per token", WEIGHT_RANGES["length_bonus"], when_done=True
    )

    def ignored(self) -> dict[str, str]:
        """Settings of sampling without samples; weights that the development set chooses."""
        found = super().ignored()
        if not self.num_samples:
            found |= dict.fromkeys(("temperature", "seed"), "without --num_samples")
        return found

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> list[list[Candidate]]:
        """Candidates in no order: choosing among them needs weights."""
        from espnet_otreg.decoding.candidates import find_candidates

        limits = batch.limits(self.tokens_per_second, self.extra_tokens)
        found = [
            batch.search(self.num_beams, limits),
            batch.search_jointly(self.joint_beam, self.joint_margin, self.search_weights, limits),
        ]
        if self.num_samples:
            found.append(batch.sample(self.num_samples, self.temperature, self.seed, limits))
        said = [  # of each batch what all of them have found, by utterance
            [list(chain(*several)) for several in zip(*sources, strict=True)]
            for sources in zip(*found, strict=True)
        ]
        return find_candidates(context, batch, said, self.ctc_beam, self.num_candidates)
