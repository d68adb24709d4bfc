"""Computing in bfloat16 while learning in float32."""

from __future__ import annotations

import copy
from typing import Any

import torch


class WorkingCopy:
    """A copy of a model in another precision that computes the gradients for the original.

    Autocast converts weights at every product and mixes precisions everywhere else, which costs a
    small model nearly as much as the products do: a step of 2,100 positions took 433 ms with a
    copy, 527 ms with autocast and 714 ms in float32. The original's float32 weights sum up what
    bfloat16 would round away (mixed precision training, Micikevicius et al. 2018).

    Args:
        model: whose weights are trained.
        dtype: that of the copy; of the model's own dtype there is no copy.

    >>> layer = torch.nn.Linear(1, 1)
    >>> working = WorkingCopy(layer, torch.bfloat16)
    >>> working.network(torch.ones(1, dtype=torch.bfloat16)).sum().backward()
    >>> working.hand_over_gradients()
    >>> layer.weight.grad
    tensor([[1.]])
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        trained = [p for p in model.parameters() if p.requires_grad]
        self.network = model
        self._pairs: list[tuple[torch.nn.Parameter, torch.nn.Parameter]] = []
        if any(p.dtype != dtype for p in trained):
            self.network = copy.deepcopy(model).to(dtype)
            copied = [p for p in self.network.parameters() if p.requires_grad]
            self._pairs = list(zip(trained, copied, strict=True))

    def hand_over_gradients(self) -> None:
        """After the backward pass: the original's gradients are the copy's, which has none."""
        for original, copied in self._pairs:
            assert copied.grad is not None
            original.grad, copied.grad = copied.grad.to(original.dtype), None

    @torch.no_grad()
    def take_over_weights(self) -> None:
        """After the optimiser's step: the copy computes with the original's new weights."""
        for original, copied in self._pairs:
            copied.copy_(original)
