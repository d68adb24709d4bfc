"""What a pretrained speech network gives, with and without ESPnet around it."""

from __future__ import annotations

import abc
from typing import Any

from torch import Tensor, nn


class SpeechNetwork(nn.Module, abc.ABC):
    """A pretrained network that makes frames of waveforms of their true length.

    Attributes:
        encoder: the module of transformers, whose dtype may be changed.
        max_samples: the most samples at 16 kHz that an utterance may have.
    """

    encoder: Any  # transformers types its modules loosely
    max_samples: int

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """Dimension of a frame."""

    @property
    @abc.abstractmethod
    def frame_seconds(self) -> float:
        """Duration of a frame."""

    @abc.abstractmethod
    def forward(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) samples and their numbers (B,) to (B, T, D) frames and theirs; zeros on padding.

        Raises:
            UserError: if an utterance is empty or too long.
        """
