"""Reading tokens straight off the projector: CTC against the LLM's own embedding table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espnet_otreg.precision import working_dtype


class TokenReadout(nn.Module):
    """CTC classes whose output matrix is the LLM's normalised input-embedding table.

    logits = scale * cos(speech, table), with one learnt ``scale`` (an inverse temperature).
    Class 0 is the anchor token, which is CTC's blank; class k > 0 is the k-th token in use.

    Args:
        token_ids: the tokens in use, from the training text only, without the anchor.
        anchor_id: token id of the anchor.
        vocabulary_size: number of rows of the LLM's table.
        embed: token ids (N,) -> embeddings (N, D); read anew at every call, so that the
            read-out follows the table where the LLM is trained, and never trains it.
        initial_scale: first value of ``scale``.

    >>> table = torch.eye(4)
    >>> readout = TokenReadout([1, 3], anchor_id=0, vocabulary_size=4, embed=lambda i: table[i])
    >>> readout.log_probs(table[None, [3, 0]]).argmax(-1).tolist(), readout.class_of.tolist()
    ([[2, 0]], [0, 1, -1, 2])
    """

    class_ids: Tensor
    class_of: Tensor

    def __init__(
        self,
        token_ids: Sequence[int],
        anchor_id: int,
        vocabulary_size: int,
        embed: Callable[[Tensor], Tensor],
        initial_scale: float = 20.0,
    ) -> None:
        super().__init__()
        class_ids = torch.tensor([anchor_id, *(i for i in token_ids if i != anchor_id)])
        class_of = torch.full((vocabulary_size,), -1, dtype=torch.long)
        class_of[class_ids] = torch.arange(len(class_ids))
        # Known from the configuration, hence not in checkpoints.
        self.register_buffer("class_ids", class_ids, persistent=False)
        self.register_buffer("class_of", class_of, persistent=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(initial_scale)))
        self._embed = embed

    def table(self) -> Tensor:
        """(C, D) unit rows, detached."""
        rows = self._embed(self.class_ids).detach()
        return F.normalize(rows.to(working_dtype(rows)), dim=-1)

    def log_probs(self, speech: Tensor) -> Tensor:
        """(B, S, D) speech embeddings to (B, S, C) log-probabilities, in fp32 (fp64 if given)."""
        dtype = working_dtype(speech)
        with torch.autocast(speech.device.type, enabled=False):
            cosine = F.normalize(speech.to(dtype), dim=-1) @ self.table().to(dtype).T
            return (self.log_scale.exp() * cosine).log_softmax(dim=-1)

    def expected_embeddings(self, speech: Tensor) -> Tensor:
        """Token embeddings weighted by the probability that a frame is read as them.

        e_s = sum_c p(c | s, c is not the blank) table_c, with the LLM's embeddings as table.

        Args:
            speech: (B, S, D), with gradient.

        Returns:
            (B, S, D) in the convex hull of the tokens' embeddings.
        """
        dtype = working_dtype(speech)
        tokens = self._embed(self.class_ids[1:]).detach().to(dtype)
        with torch.autocast(speech.device.type, enabled=False):
            cosine = F.normalize(speech.to(dtype), dim=-1) @ F.normalize(tokens, dim=-1).T
            return (self.log_scale.exp() * cosine).softmax(dim=-1) @ tokens
