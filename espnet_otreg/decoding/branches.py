"""Beams behind prompts: where an LLM can, all beams of an utterance share what they have read."""

from __future__ import annotations

import torch
from torch import Tensor

from espnet_otreg.decoding.state import LLMState


def branches(prefix: LLMState, columns: int) -> SharedRows | OwnRows:
    """One beam behind each of B prompts, ready to branch.

    Args:
        prefix: the prompts, read by the LLM.
        columns: tokens that all beams of an utterance together read at most.
    """
    return SharedRows(prefix) if prefix.can_grow(columns) else OwnRows(prefix)


class OwnRows:
    """Every beam is a row of the LLM's cache, which is copied whenever beams are chosen.

    Args:
        prefix: B prompts.
    """

    def __init__(self, prefix: LLMState) -> None:
        self.llm = prefix.llm
        self._state = prefix.select(range(len(prefix)))
        self._live = torch.ones(len(prefix), 1, dtype=torch.bool, device=prefix.hidden.device)

    @property
    def hidden(self) -> Tensor:
        """(R, D) outputs behind the R beams that are alive, utterance by utterance."""
        return self._state.hidden

    def go_on(self, going: Tensor, parents: Tensor, tokens: Tensor, live: Tensor) -> None:
        """Read one more token behind some beams.

        Args:
            going: (B',) numbers of utterances; the others are forgotten.
            parents: (B', W') numbers of beams of these.
            tokens: (B', W') what is read behind them.
            live: (B', W') which of these are alive: the first ones of each row.
        """
        numbers = self._live.flatten().cumsum(0).view_as(self._live) - 1
        self._state.keep(numbers[going[:, None], parents][live].tolist())
        self._state.read(tokens[live][:, None])
        self._live = live


class SharedRows:
    """All beams of an utterance are in one row of the LLM's cache, a tree behind the prompt: the
    cache is never sorted anew, and the prompt stands in it once.

    Args:
        prefix: B prompts; :meth:`LLMState.can_grow` says whether this is possible.
    """

    def __init__(self, prefix: LLMState) -> None:
        self.llm = prefix.llm
        self.hidden = prefix.hidden
        self._state = prefix.fork()
        self._seen = prefix.mask.bool()[:, None]  # (B, W, L) the columns on the path of each beam
        self._depth = 0

    def go_on(self, going: Tensor, parents: Tensor, tokens: Tensor, live: Tensor) -> None:
        """Read one more token behind some beams; see :meth:`OwnRows.go_on`."""
        if len(going) < len(self._state):
            length = self._seen.size(2)
            self._state.keep(going.tolist())
            self._seen = self._seen[:, :, length - self._state.mask.size(1) :]
        width = int(live.any(dim=0).sum())
        seen = self._seen[going[:, None], parents[:, :width]]
        self._depth += 1
        outputs = self._state.read_branches(tokens[:, :width], seen, self._depth)
        own = torch.eye(width, dtype=torch.bool, device=seen.device).expand(len(going), -1, -1)
        self._seen = torch.cat([seen, own], dim=2)
        self.hidden = outputs[live[:, :width]]
