"""What an objective is given, what it returns, and what its configuration has in common.

Nothing here imports torch: configurations are checked before anything heavy is loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from espnet_otreg.slm.model import SpokenLanguageModel

SPEECH, TEXT, LANGUAGE = "speech", "text", "language"


@dataclass(frozen=True, eq=False)
class ObjectiveOutput:
    """The loss of a batch.

    Attributes:
        loss: scalar with gradient, a mean over ``weight`` things. NaN and inf make the step one
            that is skipped.
        statistics: scalars for the log, by name, the same names for every batch of training and
            for every batch of validation.
        weight: what the loss is a mean over, for instance the number of target tokens; batches and
            processes are weighted by it.
    """

    loss: Tensor
    statistics: dict[str, Tensor] = field(default_factory=dict)
    weight: float = 1.0


class Objective(ABC):
    """Turns a batch into the loss of a training step. It has no parameters of its own."""

    def remember_start(self, model: SpokenLanguageModel) -> None:  # noqa: B027, most have none
        """Keep what is needed of the model as it is when training begins, by default nothing.

        The trainer calls it once, with the model on its device and with the parameters of
        ``--init_param``, before it goes on from a checkpoint: a training that goes on has the same
        reference as before. A reference policy is a
        :class:`~espnet_otreg.objectives.reference.FrozenCopy` of the model.
        """

    @abstractmethod
    def __call__(
        self, model: SpokenLanguageModel, batch: Mapping[str, Any], step: int
    ) -> ObjectiveOutput:
        """The loss of a batch.

        Args:
            model: in training or in validation, see ``model.training``; run in steps by
                ``encode``, ``compress``, ``assemble`` and ``token_losses``.
            batch: ``speech`` (B, N) waveforms or (B, T, D) features; for every transcript (B, T)
                token ids, -1 on padding, without EOS; ``language`` (B, L) code points, where the
                data has it; the (B,) lengths of each, ``<name>_lengths``; ``utt_id``, B names. See
                :mod:`espnet_otreg.objectives.batch`.
            step: optimiser steps taken so far.
        """


@dataclass(frozen=True)
class ObjectiveConfig:
    """What every objective's configuration has; derive from it, override ``build``.

    Attributes:
        transcripts: names of the data, beside the speech, that hold text; the LLM's tokenizer
            makes token ids of it. A preference objective adds its rejected transcript here.
        other_data: names of further data that each utterance must have, handed on as it is read,
            such as a reward.

    >>> ObjectiveConfig().data_names
    ('speech', 'text')
    """

    transcripts: ClassVar[tuple[str, ...]] = (TEXT,)
    other_data: ClassVar[tuple[str, ...]] = ()

    @property
    def data_names(self) -> tuple[str, ...]:
        """Names of all data that each utterance must have."""
        return (SPEECH, *self.transcripts, *self.other_data)

    def validate(self) -> list[str]:
        """Every mistake in the values, as ``key: message``."""
        return []

    def build(self) -> Objective:
        """The objective itself; whatever is slow to import is imported here."""
        raise TypeError(f"{type(self).__name__} does not say how to build its objective")
