"""What CTC and the LLM propose, scored by both; a development set chooses the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet_otreg.decoding.hypothesis import Candidate, Hypothesis
from espnet_otreg.decoding.joint import WEIGHT_RANGES, JointWeights, ranked
from espnet_otreg.decoding.modes.base import (
    DEVELOPMENT,
    PROMPT,
    READOUT,
    Samples,
    Searches,
    option,
)
from espnet_otreg.decoding.modes.registry import MODES
from espnet_otreg.errors import UserError
from espnet_otreg.ranges import Range

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.data import DataSet
    from espnet_otreg.decoding.encoded import EncodedSpeech
    from espnet_otreg.decoding.parts import Merged

_DEFAULT = JointWeights()


@MODES.register("joint")
@dataclass(frozen=True)
class Joint(Samples, Searches):
    """The best of the n-best of both; see :class:`espnet_otreg.decoding.joint.JointWeights`."""

    title = "joint CTC + LLM"
    summary = "n-best of both, scored by both"
    needs = frozenset({PROMPT, READOUT, DEVELOPMENT})

    ctc_beam: int = option(16, "prefixes kept", Range(1, 10_000, whole=True))
    num_candidates: int = option(8, "CTC hypotheses", Range(1, 10_000, whole=True))
    joint_weight: float = option(
        _DEFAULT.weight, "of the LLM", WEIGHT_RANGES["weight"],
        when_done=True, alternatives="joint_weight",
    )  # fmt: skip
    joint_weight_dev: str | None = option(
        None, "the data directory that chooses it, by WER",
        when_done=True, alternatives="joint_weight",
    )  # fmt: skip
    prior_weight: float = option(
        _DEFAULT.prior_weight, "of the LLM alone", WEIGHT_RANGES["prior_weight"],
        when_done=True,
    )  # fmt: skip
    length_bonus: float = option(
        _DEFAULT.length_bonus, "per token", WEIGHT_RANGES["length_bonus"], when_done=True
    )

    @property
    def weights(self) -> JointWeights:
        """How candidates are weighed."""
        return JointWeights(self.joint_weight, self.length_bonus, self.prior_weight)

    def ignored(self) -> dict[str, str]:
        """Settings of sampling without samples; weights that the development set chooses."""
        found: dict[str, str] = {}
        if not self.num_samples:
            found |= dict.fromkeys(("temperature", "seed"), "without --num_samples")
        if self.joint_weight_dev is not None:
            chosen = "beside --joint_weight_dev, which chooses it"
            found |= dict.fromkeys(("length_bonus", "prior_weight"), chosen)
        return found

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> list[list[Candidate]]:
        """Candidates in no order: choosing among them needs weights."""
        limits = batch.limits(self.tokens_per_second, self.extra_tokens)
        said = batch.search(self.num_beams, limits)
        if self.num_samples:
            drawn = batch.sample(self.num_samples, self.temperature, self.seed, limits)
            said = [
                [[*a, *b] for a, b in zip(one, other, strict=True)]
                for one, other in zip(said, drawn, strict=True)
            ]
        from espnet_otreg.decoding.candidates import find_candidates

        return find_candidates(context, batch, said, self.ctc_beam, self.num_candidates)

    def ranked(self, found: Sequence[Any]) -> list[Hypothesis]:
        """The candidates by their joint score."""
        return ranked(found, self.weights)

    def check_sets(self, sets: Sequence[DataSet]) -> None:
        """The development set has to be among what is decoded."""
        self._development(sets)

    def _development(self, sets: Sequence[DataSet]) -> DataSet | None:
        if self.joint_weight_dev is None:
            return None
        for data in sets:
            if data.directory.resolve() == Path(self.joint_weight_dev).resolve():
                return data
        raise UserError(
            "this set is not decoded", self.joint_weight_dev, "name it in --data_dir too"
        )

    def when_done(
        self, sets: Sequence[DataSet], read: Callable[[DataSet], Merged], output: Path
    ) -> Joint:
        """Let the development set choose the weights, if there is one, and write ``joint.json``."""
        from espnet_otreg.decoding.joint_weights import choose_joint_weights

        data = self._development(sets)
        if data is None:
            return self
        chosen = choose_joint_weights(data, read(data).candidates, output)
        return replace(
            self,
            joint_weight=chosen.weight,
            length_bonus=chosen.length_bonus,
            prior_weight=chosen.prior_weight,
        )

    def finish(self, merged: Merged, data: DataSet) -> Merged:
        """Rank the candidates."""
        from espnet_otreg.decoding.parts import Merged

        order = {key: self.ranked(several) for key, several in merged.candidates.items()}
        return Merged(
            text={key: several[0].text for key, several in order.items()},
            score={key: f"{several[0].score:.6f}" for key, several in order.items()},
            nbest={key: [asdict(h) for h in several] for key, several in order.items()},
            candidates={},
            limit_reached={key for key, several in order.items() if several[0].hit_limit},
            seconds=merged.seconds,
        )

    def facts(self) -> dict[str, Any]:
        """The weights."""
        return {"joint_weights": asdict(self.weights)}
