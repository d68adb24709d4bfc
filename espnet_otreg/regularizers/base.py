"""What a regularizer is given, what it returns, and what its configuration has in common.

Nothing here imports torch: configurations are checked before anything heavy is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from espnet_otreg.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

ANNEALING = 10  # first iterations of a divergence's transport, with a larger epsilon

# Statistics of the model and of the trainer; no regularizer may be named so, or report one of them.
RESERVED_STATISTICS = frozenset(
    {
        "acc", "ce", "ce_shuffled_speech", "kept_frames", "loss",
        "backward_time", "clip", "forward_time", "gpu_max_cached_mem_GB", "grad_norm", "iter_time",
        "loss_scale", "optim_step_time", "time", "total_count", "train_time",
    }
)  # fmt: skip


class TokenReadout(Protocol):
    """Reads tokens off speech embeddings through the LLM's frozen embedding table."""

    class_of: Tensor
    """(vocabulary,) int64: class of a token id, -1 where it has none; class 0 is the blank."""

    def log_probs(self, speech: Tensor) -> Tensor:
        """(B, S, D) speech embeddings to (B, S, C) log-probabilities that sum to one."""
        ...


@dataclass(frozen=True, eq=False)
class AlignmentBatch:
    """Both sides of a batch of utterances, as every regularizer sees them.

    Attributes:
        speech: (B, S, D) projector output before compression, with gradient.
        speech_mask: (B, S) bool, True = real frame.
        text: (B, T, D) the LLM's input embeddings of the transcript tokens, detached.
        text_ids: (B, T) int64 token ids, -1 on padding.
        text_mask: (B, T) bool.
        anchor: (D,) embedding of the anchor token (silence in OTReg, blank in CTC), detached.
        anchor_id: its token id.
        frame_seconds: time from one speech embedding to the next.
        readout: the model's token read-out, or None where it has none.
        speech_at_start: (B, S, D) what the projector made of the same frames when training began,
            detached; None unless a regularizer's ``needs_start`` asks for it.
    """

    speech: Tensor
    speech_mask: Tensor
    text: Tensor
    text_ids: Tensor
    text_mask: Tensor
    anchor: Tensor
    anchor_id: int
    frame_seconds: float
    readout: TokenReadout | None
    speech_at_start: Tensor | None = None

    def without_padding(self) -> AlignmentBatch:
        """The same batch with zeros on padding, so that whatever lay there, be it NaN, reaches
        neither a value nor a gradient."""
        off, start = ~self.speech_mask[:, :, None], self.speech_at_start
        return replace(
            self,
            speech=self.speech.masked_fill(off, 0),
            speech_at_start=None if start is None else start.masked_fill(off, 0),
            text=self.text.masked_fill(~self.text_mask[:, :, None], 0),
            text_ids=self.text_ids.masked_fill(~self.text_mask, -1),
        )

    def readout_for(self, user: str) -> TokenReadout:
        """The read-out, for a ``user`` that cannot do without it.

        Raises:
            UserError: if the model has none.
        """
        if self.readout is None:
            raise UserError(
                f"{user} needs the token read-out, and this model has no token classes",
                "regularizers",
                "give the model its classes (stage 6, tokens) or leave that out",
            )
        return self.readout


@dataclass(frozen=True, eq=False)
class RegularizerOutput:
    """A regularizer's value of a batch; a scalar alone stands for one without statistics.

    Attributes:
        value: scalar, mean over the utterances of the batch, real and floating. Where it trains it
            has a gradient, or is exactly zero because the batch gives it nothing to do. NaN and inf
            make the step one that is skipped.
        statistics: real scalars for the log, by name, the same names for every batch (processes of
            a distributed training exchange them). A name that does not begin with the
            regularizer's, ``<name>_``, gets it in front.
    """

    value: Tensor
    statistics: dict[str, Tensor] = field(default_factory=dict)


class Regularizer(Protocol):
    """A differentiable penalty on how speech and text embeddings lie to each other.

    It may use random generators and leaves the tensors of the batch as they are. It is not called
    with NaN: a batch whose embeddings are not finite has a value of NaN whatever it would say.
    """

    def __call__(self, batch: AlignmentBatch) -> RegularizerOutput: ...


@dataclass(frozen=True)
class RegularizerConfig:
    """What every regularizer's configuration has; derive from it, override ``build``.

    ``needs_start`` is True in classes whose regularizers compare with the start of the training.

    Attributes:
        weight: factor of the regularizer's value in the loss; 0 = statistics only.
        start_step: first step at which it takes part in the loss.
        warmup_steps: steps over which the weight then grows linearly to its full size.

    >>> RegularizerConfig(weight=-1.0).validate()
    ['weight: expected a number not below 0, found -1.0']
    """

    needs_start: ClassVar[bool] = False

    weight: float = 0.3
    start_step: int = 0
    warmup_steps: int = 0

    @property
    def needs_readout(self) -> bool:
        """Whether the model must have token classes; without it the read-out may not be trained."""
        return False

    def validate(self) -> list[str]:
        """Every mistake in the values, as ``key: message``."""
        number = "a number not below 0"
        return self.unmet(
            {
                "weight": (self.weight >= 0 and math.isfinite(self.weight), number),
                "start_step": (self.start_step >= 0, number),
                "warmup_steps": (self.warmup_steps >= 0, number),
            }
        )

    def unmet(self, wanted: Mapping[str, tuple[bool, str]]) -> list[str]:
        """``key: message`` for each ``{key: (fits, what is expected)}`` that does not fit.

        >>> RegularizerConfig().unmet({"weight": (False, "less"), "start_step": (True, "more")})
        ['weight: expected less, found 0.3']
        """
        return [
            f"{key}: expected {expected}, found {getattr(self, key)}"
            for key, (fits, expected) in wanted.items()
            if not fits
        ]

    def settings(self) -> dict[str, Any]:
        """The values of the keys that not every regularizer has: those that its loss takes.

        >>> RegularizerConfig().settings()
        {}
        """
        common = {each.name for each in fields(RegularizerConfig)}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in common}

    def build(self) -> Regularizer:
        """The regularizer itself; whatever is slow to import is imported here."""
        raise TypeError(f"{type(self).__name__} does not say how to build its regularizer")

    def weight_at(self, step: int) -> float:
        """The weight in force at a training step, counted from 0.

        >>> config = RegularizerConfig(weight=1.0, start_step=2, warmup_steps=4)
        >>> [config.weight_at(step) for step in range(7)]
        [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
        """
        if step < self.start_step:
            return 0.0
        ramp = (step - self.start_step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        return self.weight * min(1.0, ramp)
