"""Prompt and speech, read by the LLM once, whatever follows them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.decoding.cache import cache_name, can_join, drop_oldest, join
from espnet_otreg.decoding.tree import TokenTree, can_branch, tree_masks
from espnet_otreg.errors import UserError
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.llm import LLM


@dataclass
class Reader:
    """Rows of a batch with all that the LLM remembers of what it has read.

    Attributes:
        llm: the LLM.
        hidden: (R, D) its last output, from which the next token follows.
        cache: its keys and values.
        mask: (R, L) 1 on real positions of the past.
        position: (R,) of the last token.
    """

    llm: LLM
    hidden: Tensor
    cache: Any
    mask: Tensor
    position: Tensor

    def rooms(self) -> list[int] | None:
        """For each row how many tokens the LLM has positions for; None if it counts none."""
        limit = self.llm.max_positions
        return None if limit is None else (limit - 1 - self.position).tolist()

    def select(self, rows: Tensor) -> Reader:
        """A reader of its own for some rows (R',), which may come several times."""
        cache = copy.deepcopy(self.cache)
        cache.batch_select_indices(rows)
        return Reader(self.llm, self.hidden[rows], cache, self.mask[rows], self.position[rows])

    def keep(self, rows: Tensor) -> None:
        """Forget all other rows, and what was padding in front of these."""
        self.cache.batch_select_indices(rows)
        self.hidden, self.mask = self.hidden[rows], self.mask[rows]
        self.position = self.position[rows]
        padding = int(self.mask.any(dim=0).int().argmax())
        if padding and can_join(self.cache):
            drop_oldest(self.cache, padding)
            self.mask = self.mask[:, padding:]

    def join(self, other: Reader) -> None:
        """Go on with the rows of another reader, too; its cache has to be one that can join."""
        join(self.cache, other.cache)
        length = max(self.mask.size(1), other.mask.size(1))
        masks = [pad(mask, (length - mask.size(1), 0)) for mask in (self.mask, other.mask)]
        self.mask = torch.cat(masks)
        self.hidden = torch.cat([self.hidden, other.hidden])
        self.position = torch.cat([self.position, other.position])

    @torch.inference_mode()
    def read(self, token_ids: Tensor, real: Tensor) -> Tensor:
        """Go on with (R, T) tokens, ``real`` (R, T) where they count.

        Returns:
            (R, T, D) outputs, one behind each token.
        """
        steps = torch.arange(1, token_ids.size(1) + 1, device=token_ids.device)
        self.mask = torch.cat([self.mask, real.to(self.mask.dtype)], dim=1)
        hidden = self._decode(token_ids, self.mask, steps)
        self.position = self.position + token_ids.size(1)
        self.hidden = hidden[:, -1]
        return hidden

    @torch.inference_mode()
    def read_trees(self, trees: Sequence[TokenTree]) -> list[Tensor]:
        """Read R trees of tokens, one behind each row; afterwards the reader is used up.

        Args:
            trees: without branches if the LLM cannot read them, see
                :func:`espnet_otreg.decoding.tree.can_branch`.

        Returns:
            For each tree (nodes, D) outputs, one behind each node; the first is the root's.
        """
        roots = self.hidden[:, None]
        if max(len(tree.tokens) for tree in trees) == 0:
            return list(roots)
        tokens = [torch.tensor(tree.tokens, dtype=torch.long) for tree in trees]
        token_ids = pad_sequence(tokens, batch_first=True).to(roots.device)
        if can_branch(self.llm.model, self.cache):
            masks, depths = tree_masks(self.llm.model, self.cache, self.mask, trees, roots.dtype)
            after = self._decode(token_ids, masks, depths)
        else:
            # Behind a shorter chain padding is read too, where nobody looks any more.
            after = self.read(token_ids, torch.ones_like(token_ids))
        hidden = torch.cat([roots, after], dim=1)
        return [row[: len(tree.tokens) + 1] for row, tree in zip(hidden, trees, strict=True)]

    def _decode(self, token_ids: Tensor, attention_mask: Any, steps: Tensor) -> Tensor:
        """(R, T, D) outputs behind tokens that stand ``steps`` behind the last position."""
        positions = self.position[:, None] + steps
        if self.llm.max_positions is not None:
            # Only padding behind a row that has ended can lie beyond, and nobody looks there.
            positions = positions.clamp(max=self.llm.max_positions - 1)
        decoder = self.llm.model.get_decoder()
        name = cache_name(decoder)
        output = decoder(
            inputs_embeds=self.llm.embed(token_ids),
            attention_mask=attention_mask,
            position_ids=positions,
            use_cache=True,
            **{name: self.cache},
        )
        self.cache = output[name]
        hidden: Tensor = output.last_hidden_state
        return hidden


@torch.inference_mode()
def read_prefix(llm: LLM, inputs: LLMInput) -> Reader:
    """Let the LLM read B prompts with speech, padded on the left."""
    decoder = llm.model.get_decoder()
    output = decoder(
        inputs_embeds=inputs.inputs_embeds.to(llm.model.get_input_embeddings().weight.dtype),
        attention_mask=inputs.attention_mask,
        position_ids=inputs.position_ids,
        use_cache=True,
    )
    last = output.last_hidden_state[:, -1]
    position = inputs.position_ids[:, -1]
    cache = output[cache_name(decoder)]
    return Reader(llm, last, cache, inputs.attention_mask, position)


def fitting(prefix: Reader, limits: Sequence[int], names: Sequence[str]) -> list[int]:
    """Length limits that the LLM has positions for; one that is cut is a word in the log.

    Args:
        prefix: B prompts with speech, read by the LLM.
        limits: B numbers of tokens.
        names: of the utterances, for messages.

    Raises:
        UserError: if there is no position left for any token.
    """
    rooms = prefix.rooms()
    if rooms is None:
        return list(limits)
    for number, (room, limit) in enumerate(zip(rooms, limits, strict=True)):
        name = names[number] if names else f"number {number}"
        if room < 1:
            raise UserError(
                f"prompt and speech take all {prefix.llm.max_positions} positions of the LLM",
                f"utterance {name}",
                "cut or remove it",
            )
        if room < limit:
            logging.warning(
                "utterance %s: at most %d tokens instead of %d, because the LLM has %d positions",
                name, room, limit, prefix.llm.max_positions,
            )  # fmt: skip
    return [min(both) for both in zip(rooms, limits, strict=True)]
