"""The projector as it was when training began."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class StartingProjector:
    """A copy that stays as it is.

    It is no module, so that it is neither trained nor saved nor counted: a training that is resumed
    begins with the same parameters and so has the same copy.

    Args:
        projector: encoder frames (B, T, E) and lengths (B,) to embeddings and lengths.

    >>> from espnet_otreg.slm.projector_config import StackMLPConfig
    >>> from espnet_otreg.slm.projectors import Projector
    >>> projector = Projector(StackMLPConfig(), input_size=8, output_size=6, norm=2.0)
    >>> start, frames = StartingProjector(projector), (torch.randn(1, 9, 8), torch.tensor([9]))
    >>> _ = projector.gain.data.fill_(3.0)
    >>> start(*frames).norm(dim=2).round(decimals=4)
    tensor([[2., 2., 2.]])
    """

    def __init__(self, projector: nn.Module) -> None:
        self._projector = copy.deepcopy(projector).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, S, D) what the projector made of the encoder's (B, T, E) frames at the start."""
        values: Tensor = self._projector(frames, lengths)[0]
        return values
