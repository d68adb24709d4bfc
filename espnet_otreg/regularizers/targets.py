"""The targets frames are transported to: anchor and unique transcript tokens, with their mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from espnet_otreg.regularizers.base import AlignmentBatch


@dataclass(frozen=True, eq=False)
class TargetSet:
    """Targets of a batch; where there is an anchor it is target 0.

    Attributes:
        embeddings: (B, T', D), detached; T' = T + 1 with an anchor, else T.
        ids: (B, T') token ids, -1 on padding.
        mask: (B, T') bool, False on padding and on repetitions.
        mass: (B, T'), zero off the mask, total 1 where there is any target.
        has_anchor: whether target 0 is the anchor.
    """

    embeddings: Tensor
    ids: Tensor
    mask: Tensor
    mass: Tensor
    has_anchor: bool

    @property
    def token_mask(self) -> Tensor:
        """The mask without the anchor."""
        if not self.has_anchor:
            return self.mask
        mask = self.mask.clone()
        mask[:, 0] = False
        return mask


def first_by_id(ids: Tensor, mask: Tensor) -> Tensor:
    """Mask (B, T) of the first real occurrence of every id.

    >>> first_by_id(torch.tensor([[5, 7, 5]]), torch.ones(1, 3, dtype=torch.bool))
    tensor([[ True,  True, False]])
    """
    same = (ids[:, :, None] == ids[:, None, :]) & mask[:, None, :]
    return mask & ~same.tril(-1).any(-1)


def norm_mass(embeddings: Tensor, mask: Tensor) -> Tensor:
    """Mass (B, N) in proportion to the norms of the masked vectors, held constant.

    An utterance whose vectors are all zero gets uniform mass.

    >>> norm_mass(torch.tensor([[[3.0], [1.0], [7.0]]]), torch.tensor([[True, True, False]]))
    tensor([[0.7500, 0.2500, 0.0000]])
    """
    norm = torch.linalg.vector_norm(embeddings.detach().float(), dim=-1)
    norm = torch.where(mask, norm, 0)
    norm = torch.where(norm.sum(-1, keepdim=True) > 0, norm, mask.to(norm.dtype))
    return norm / norm.sum(-1, keepdim=True).clamp(min=torch.finfo(norm.dtype).tiny)


def uniform_mass(mask: Tensor) -> Tensor:
    """Mass (B, N) uniform over the mask, float32.

    >>> uniform_mass(torch.tensor([[True, True], [False, False]]))
    tensor([[0.5000, 0.5000],
            [0.0000, 0.0000]])
    """
    return mask / mask.sum(-1, keepdim=True).clamp(min=1)


def make_targets(
    batch: AlignmentBatch,
    anchor: bool,
    anchor_mass: float | Tensor | None,
    deduplicate: Literal["token_id", "none"],
    marginals: Literal["uniform", "norm"],
) -> TargetSet:
    """Collect the targets of a batch; the arguments are the fields of ``OTRegConfig``, but that
    ``anchor_mass`` may be each utterance's own, (B, 1).

    The anchor counts as kept first, so that a transcript token equal to it is dropped.
    """
    embeddings, ids, mask = batch.text.detach(), batch.text_ids, batch.text_mask
    if anchor:
        count = len(ids)
        first = batch.anchor.detach().to(embeddings.dtype).expand(count, 1, -1)
        embeddings = torch.cat([first, embeddings], dim=1)
        ids = torch.cat([ids.new_full((count, 1), batch.anchor_id), ids], dim=1)
        mask = torch.cat([mask.new_ones(count, 1), mask], dim=1)
    ids = torch.where(mask, ids, -1)
    if deduplicate == "token_id":
        mask = first_by_id(ids, mask)
    mass = norm_mass(embeddings, mask) if marginals == "norm" else uniform_mass(mask)
    if anchor and anchor_mass is not None:
        tokens = torch.cat([torch.zeros_like(mass[:, :1]), mass[:, 1:]], dim=1)
        total = tokens.sum(-1, keepdim=True)
        # With no token beside it the anchor takes everything.
        scaled = tokens * ((1 - anchor_mass) / torch.where(total > 0, total, 1))
        scaled[:, :1] = torch.where(total > 0, anchor_mass, 1.0)
        mass = scaled
    return TargetSet(embeddings, ids, mask, mass, anchor)
