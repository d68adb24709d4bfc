"""Modes that choose among candidates by weights, which a development set may choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from espnet_otreg.decoding.hypothesis import Hypothesis
from espnet_otreg.decoding.joint import Grid, JointWeights, ranked
from espnet_otreg.decoding.modes.base import DEVELOPMENT, Mode, option
from espnet_otreg.errors import UserError
from espnet_otreg.ranges import Range

if TYPE_CHECKING:
    from espnet_otreg.decoding.data import DataSet
    from espnet_otreg.decoding.parts import Merged

Self = TypeVar("Self", bound="Weighed")


@dataclass(frozen=True)
class Weighed(Mode):
    """Candidates are searched for with some weights and chosen by others.

    With ``--weights_dev`` the development set is searched first with the given weights of the
    search, and the weights that do best on what was found take their place. All sets are searched
    with these, and the weights that do best on what was then found choose.

    Attributes:
        grid: what the development set chooses from.
        file: name of the file that the weights are written to, and of the mode.
        choosing, searching: fields of :class:`JointWeights` -> the options that hold them.
        fixed: the other fields.
    """

    needs = frozenset({DEVELOPMENT})

    weights_dev: str | None = option(
        None, "the data directory that chooses the weights, by WER",
        when_done=True, alternatives="weights",
    )  # fmt: skip
    ctc_beam: int = option(16, "prefixes kept", Range(1, 10_000, whole=True))
    num_candidates: int = option(8, "CTC hypotheses", Range(1, 10_000, whole=True))

    grid: ClassVar[Grid]
    file: ClassVar[str]
    choosing: ClassVar[Mapping[str, str]]
    searching: ClassVar[Mapping[str, str]]
    fixed: ClassVar[Mapping[str, float]] = {}

    @property
    def weights(self) -> JointWeights:
        """How candidates are chosen."""
        return self._weights(self.choosing)

    @property
    def search_weights(self) -> JointWeights:
        """How they are searched for."""
        return self._weights(self.searching)

    def _weights(self, options: Mapping[str, str]) -> JointWeights:
        given = {weight: getattr(self, option) for weight, option in options.items()}
        return JointWeights(**{**self.fixed, **given})

    @classmethod
    def as_options(cls, choosing: JointWeights, searching: JointWeights) -> dict[str, Any]:
        """The options that give these weights."""
        pairs = ((cls.choosing, choosing), (cls.searching, searching))
        return {
            option: getattr(given, weight)
            for options, given in pairs
            for weight, option in options.items()
        }

    def ignored(self) -> dict[str, str]:
        """Weights that the development set chooses."""
        if self.weights_dev is None:
            return {}
        options = self.as_options(JointWeights(), JointWeights())
        return dict.fromkeys(options, "beside --weights_dev, which chooses it")

    def ranked(self, found: Sequence[Any]) -> list[Hypothesis]:
        """The candidates by their scores."""
        return ranked(found, self.weights)

    def check_sets(self, sets: Sequence[DataSet]) -> None:
        """The development set has to be among what is decoded."""
        self._development(sets)

    def _development(self, sets: Sequence[DataSet]) -> DataSet | None:
        if self.weights_dev is None:
            return None
        for data in sets:
            if data.directory.resolve() == Path(self.weights_dev).resolve():
                return data
        raise UserError("this set is not decoded", self.weights_dev, "name it in --data_dir too")

    def prepare(
        self: Self, sets: Sequence[DataSet], decode: Callable[[Self, DataSet], Merged]
    ) -> Self:
        """Let the development set choose the weights of the search, if there is one."""
        from espnet_otreg.decoding.joint_weights import tune_on

        data = self._development(sets)
        if data is None:
            return self
        tuned = tune_on(data, decode(self, data).candidates, self.grid)
        return replace(self, **self.as_options(self.weights, tuned.weights))

    def when_done(
        self: Self, sets: Sequence[DataSet], read: Callable[[DataSet], Merged], output: Path
    ) -> Self:
        """Let the development set choose the weights, if there is one, and write them down."""
        from espnet_otreg.decoding.joint_weights import tune_on, write_weights

        data = self._development(sets)
        if data is None:
            return self
        tuned = tune_on(data, read(data).candidates, self.grid)
        path = output / self.file / data.name / f"{self.file}.json"
        write_weights(path, tuned, self.search_weights, data.name)
        return replace(self, **self.as_options(tuned.weights, self.search_weights))

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
        return {f"{self.file}_weights": asdict(self.weights)}
