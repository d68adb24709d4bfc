"""A model, or a part of it, as it was at some moment: the reference policy of an objective."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def copy_sharing_frozen(module: Module) -> Module:
    """A copy that shares the parameters that are not trained, and has all others for itself.

    Buffers are copied, and so are gradients' absence, training mode and counters: whatever is done
    to the copy, the module stays as it is.

    >>> layer = nn.Linear(2, 3)
    >>> _ = layer.bias.requires_grad_(False)
    >>> copied = copy_sharing_frozen(layer)
    >>> copied.bias is layer.bias, copied.weight is layer.weight
    (True, False)
    """
    frozen = {id(p): p for p in module.parameters() if not p.requires_grad}
    return copy.deepcopy(module, frozen)


class FrozenCopy(Generic[Module]):
    """A copy that stays as it is and costs the memory of the trained parameters only.

    It is no module, so that it is neither trained nor saved nor counted, and it lies where the
    module lay. A training that goes on begins with the same parameters and so has the same copy.

    Args:
        module: for instance a spoken language model or its projector.

    >>> import torch
    >>> from espnet_otreg.slm.projector_config import StackMLPConfig
    >>> from espnet_otreg.slm.projectors import Projector
    >>> projector = Projector(StackMLPConfig(), input_size=8, output_size=6, norm=2.0)
    >>> start, frames = FrozenCopy(projector), (torch.randn(1, 9, 8), torch.tensor([9]))
    >>> _ = projector.gain.data.fill_(3.0)
    >>> start.module(*frames)[0].norm(dim=2).round(decimals=4)
    tensor([[2., 2., 2.]])
    """

    def __init__(self, module: Module) -> None:
        self.module = copy_sharing_frozen(module).eval()
        self.module.requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenCopy[Module]:
        """Itself: it does not change."""
        return self
