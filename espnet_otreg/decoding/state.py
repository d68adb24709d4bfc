"""The state of an LLM between two passes: its key-value cache, masks and positions by row.

This is the only module that knows how Transformers keeps keys and values.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from espnet_otreg.decoding.tree import TokenTree, tree_depths, tree_mask
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.llm import LLM

_KEYS_AND_VALUES = (DynamicLayer, DynamicSlidingWindowLayer)  # that grow, one column a token


@dataclass
class _Tentative:
    """What was read and may still be forgotten.

    Attributes:
        columns: of the past before it.
        position: (R,) of the last token before it.
        outputs: (R, 1 + N, D) behind that token and behind each one since.
        trees: if trees were read.
    """

    columns: int
    position: Tensor
    outputs: Tensor
    trees: Sequence[TokenTree] | None = None


class LLMState:
    """R rows of tokens and speech that an LLM has read, ready to go on.

    Rows are padded on the left, where their mask is 0: the newest keys of all rows stand side by
    side, as the next token needs them.

    Args:
        llm: the LLM.
        hidden: (R, D) its last output, from which the next token follows.
        cache: of Transformers, with R rows.
        mask: (R, L) 1 on real positions of the past.
        position: (R,) of the last token.
        tasks: what each of the R rows is about; they stay with their rows.
    """

    def __init__(
        self,
        llm: LLM,
        hidden: Tensor,
        cache: Any,
        mask: Tensor,
        position: Tensor,
        tasks: tuple[str, ...] = (),
    ) -> None:
        self.llm = llm
        self.hidden = hidden
        self.mask = mask
        self.position = position
        self.tasks = tasks or ("",) * len(hidden)
        self._cache = cache
        self._tentative: _Tentative | None = None

    def __len__(self) -> int:
        """R."""
        return len(self.hidden)

    @property
    def can_join(self) -> bool:
        """Whether every layer keeps keys and values alone (full attention or a sliding window),
        so that rows that have read differently much can stand in one batch, and go back."""
        return all(type(layer) in _KEYS_AND_VALUES for layer in self._cache.layers)

    @property
    def can_branch(self) -> bool:
        """Whether the LLM can read a tree: its attention takes a mask for every pair of tokens and
        knows no blocks of fixed places."""
        config = self.llm.model.config.get_text_config()
        blocks = getattr(config, "attention_chunk_size", None)
        takes_masks = config._attn_implementation in ("sdpa", "eager")
        return self.can_join and not blocks and takes_masks

    def can_grow(self, columns: int) -> bool:
        """Whether :meth:`read_branches` can read so many tokens: no layer forgets any of them."""
        windows = [layer.sliding_window for layer in self._layers() if layer.is_sliding]
        return self.can_branch and self.mask.size(1) + columns < min(windows, default=math.inf)

    def rooms(self) -> list[int] | None:
        """For each row how many tokens the LLM has positions for; None if it counts none."""
        limit = self.llm.max_positions
        return None if limit is None else (limit - 1 - self.position).tolist()

    def logits(self) -> Tensor:
        """(R, V) of the next token."""
        return self.llm.logits(self.hidden)

    def fork(self) -> LLMState:
        """Another state with the same past. Keys and values are shared: they are never changed in
        place, so both can go on."""
        layers = [
            copy.copy(layer) if type(layer) in _KEYS_AND_VALUES else copy.deepcopy(layer)
            for layer in self._cache.layers
        ]
        return LLMState(
            self.llm, self.hidden, self._with(layers), self.mask, self.position, self.tasks
        )

    def select(self, rows: Sequence[int]) -> LLMState:
        """A state of its own for some rows, which may come several times. Nothing else is copied.

        Args:
            rows: R' numbers.
        """
        chosen = torch.tensor(rows, dtype=torch.long, device=self.hidden.device)
        cache = self._with([_shallow(layer) for layer in self._cache.layers])
        cache.reorder_cache(chosen)
        tasks = tuple(self.tasks[row] for row in rows)
        return LLMState(
            self.llm,
            self.hidden[chosen],
            cache,
            self.mask[chosen],
            self.position[chosen],
            tasks,
        )

    def _with(self, layers: list[Any]) -> Any:
        cache = copy.copy(self._cache)
        cache.layers = layers
        return cache

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all other rows, and what was padding in front of these.

        Args:
            rows: R' numbers, any of them several times.
        """
        self._settle()
        kept = self.select(rows)
        padding = int(kept.mask.any(dim=0).int().argmax())
        if padding and kept.can_join:
            kept._drop_oldest(padding)
        self._become(kept)

    def _become(self, other: LLMState) -> None:
        self.hidden, self.mask, self.position = other.hidden, other.mask, other.position
        self.tasks, self._cache = other.tasks, other._cache

    def _drop_oldest(self, count: int) -> None:
        """Forget the first ``count`` columns, which are padding in all rows."""
        self.mask = self.mask[:, count:]
        for layer in self._layers():
            left = layer.get_seq_length() - count
            layer.keys, layer.values = layer.keys[:, :, -left:], layer.values[:, :, -left:]
            if layer.is_sliding:
                layer.cumulative_length = left

    def _layers(self) -> list[Any]:
        """The layers that have keys of their own."""
        return [layer for layer in self._cache.layers if layer.is_initialized]

    def join(self, other: LLMState) -> None:
        """Go on with the rows of another state of the same LLM, too; both :attr:`can_join`.

        Rows that have read less are padded on the left.
        """
        self._settle()
        other._settle()
        for layer, more in zip(self._layers(), other._layers(), strict=True):
            length = max(layer.get_seq_length(), more.get_seq_length())
            layer.keys = torch.cat([_aged(layer, t, length) for t in (layer.keys, more.keys)])
            layer.values = torch.cat([_aged(layer, t, length) for t in (layer.values, more.values)])
            if layer.is_sliding:
                layer.cumulative_length = length
        length = max(self.mask.size(1), other.mask.size(1))
        masks = [pad(mask, (length - mask.size(1), 0)) for mask in (self.mask, other.mask)]
        self.mask = torch.cat(masks)
        self.hidden = torch.cat([self.hidden, other.hidden])
        self.position = torch.cat([self.position, other.position])
        self.tasks = (*self.tasks, *other.tasks)

    @torch.inference_mode()
    def read(self, token_ids: Tensor, tentative: bool = False) -> Tensor:
        """Go on with some tokens.

        Args:
            token_ids: (R, T).
            tentative: :meth:`go_back` may come for these tokens and those since the last that
                were not tentative.

        Returns:
            (R, T, D) outputs, one behind each token.
        """
        if tentative:
            self._begin(anew=False)
        else:
            self._settle()
        steps = torch.arange(1, token_ids.size(1) + 1, device=token_ids.device)
        mask = torch.cat([self.mask, self.mask.new_ones(token_ids.shape)], dim=1)
        outputs = self._decode(token_ids, mask, steps)
        self.mask = mask
        self.position = self.position + token_ids.size(1)
        self.hidden = outputs[:, -1]
        if self._tentative is not None:
            self._tentative.outputs = torch.cat([self._tentative.outputs, outputs], dim=1)
        return outputs

    @torch.inference_mode()
    def read_trees(self, trees: Sequence[TokenTree]) -> list[Tensor]:
        """Read R trees of tokens, one behind each row; :meth:`commit` then chooses among them.

        Args:
            trees: without branches if the LLM cannot read them, see :attr:`can_branch`.

        Returns:
            For each tree (nodes, D) outputs, one behind each node; the first is the root's.
        """
        self._begin(anew=True)
        assert self._tentative is not None
        if max(len(tree.tokens) for tree in trees) > 0:
            tokens = [torch.tensor(tree.tokens, dtype=torch.long) for tree in trees]
            token_ids = pad_sequence(tokens, batch_first=True).to(self.hidden.device)
            if self.can_branch:
                depths = tree_depths(trees).to(self.hidden.device)
                after = self._decode(token_ids, self._tree_masks(trees, depths), depths)
                self._tentative.outputs = torch.cat([self.hidden[:, None], after], dim=1)
            else:
                # Behind a shorter chain padding is read too, where nobody looks any more.
                self.read(token_ids, tentative=True)
        self._tentative.trees = trees
        outputs = self._tentative.outputs
        return [row[: len(tree.tokens) + 1] for row, tree in zip(outputs, trees, strict=True)]

    def _tree_masks(self, trees: Sequence[TokenTree], depths: Tensor) -> Tensor | dict[str, Tensor]:
        """What is added to the scores of attention, for each kind of layer if there are several."""
        past, dtype = self.mask, self.hidden.dtype
        sliding = [layer for layer in self._layers() if layer.is_sliding]
        everything = tree_mask(past, trees, depths, dtype)
        if not sliding:
            return everything
        window = sliding[0].sliding_window
        # Layers with a window have forgotten what lies outside it.
        remembered = min(sliding[0].keys.size(2), window - 1)
        near = tree_mask(past, trees, depths, dtype, window, remembered)
        kinds = self._kinds_of_layers()
        if not kinds:
            return near
        return {kind: near if kind == "sliding_attention" else everything for kind in kinds}

    def _kinds_of_layers(self) -> set[str]:
        return set(getattr(self.llm.model.config.get_text_config(), "layer_types", None) or ())

    @torch.inference_mode()
    def read_branches(self, token_ids: Tensor, seen: Tensor, depth: int) -> Tensor:
        """Read W tokens side by side in each row, each behind a path of its own; they are there to
        stay, and from now on only this method can read more.

        Args:
            token_ids: (R, W).
            seen: (R, W, L) booleans, the columns of the past that are on the path of each token.
            depth: number of tokens on each path behind the prompt, these included.

        Returns:
            (R, W, D) outputs, one behind each token.
        """
        self._settle()
        width = token_ids.size(1)
        own = torch.eye(width, dtype=torch.bool, device=seen.device).expand(len(seen), -1, -1)
        dtype = self.hidden.dtype
        mask = torch.zeros(*seen.shape[:2], seen.size(2) + width, dtype=dtype, device=seen.device)
        mask = mask.masked_fill_(~torch.cat([seen, own], dim=2), torch.finfo(dtype).min)[:, None]
        sliding = any(layer.is_sliding for layer in self._layers())
        masks = dict.fromkeys(self._kinds_of_layers(), mask) if sliding else {}
        steps = torch.full((width,), depth, device=seen.device)
        outputs = self._decode(token_ids, masks or mask, steps)
        self.mask = torch.cat([self.mask, self.mask.new_ones(token_ids.shape)], dim=1)
        return outputs

    @torch.inference_mode()
    def commit(self, nodes: Sequence[int]) -> None:
        """Go on behind one node of each tree that was read last; its other branches are forgotten.

        Args:
            nodes: R of them; 0, the root, forgets the whole tree.

        Raises:
            RuntimeError: if no trees were read, or the LLM cannot forget.
        """
        tried = self._tentative
        if tried is None or tried.trees is None:
            raise RuntimeError("no trees were read")
        kept = torch.zeros(len(nodes), tried.outputs.size(1) - 1, dtype=torch.bool)
        for row, (tree, node) in enumerate(zip(tried.trees, nodes, strict=True)):
            kept[row, [n - 1 for n in tree.path_to(node)]] = True
        self._retain(kept.to(self.hidden.device), nodes)

    @torch.inference_mode()
    def go_back(self, counts: Sequence[int]) -> None:
        """Forget the last tokens of each row that were read tentatively; the others stay for good.

        Args:
            counts: R numbers of tokens.

        Raises:
            RuntimeError: if fewer were read tentatively, or the LLM cannot forget.
        """
        tried = self._tentative
        read = 0 if tried is None else tried.outputs.size(1) - 1
        if tried is None or tried.trees is not None or not 0 <= min(counts) <= max(counts) <= read:
            raise RuntimeError(f"{read} tokens were read tentatively, not {list(counts)}")
        lengths = [read - count for count in counts]
        columns = torch.arange(read, device=self.hidden.device)
        ends = torch.tensor(lengths, device=self.hidden.device)
        self._retain(columns < ends[:, None], lengths)

    def _begin(self, anew: bool) -> None:
        """From here on it is possible to go back."""
        if anew or (self._tentative is not None and self._tentative.trees is not None):
            self._settle()
        if self._tentative is None:
            self._tentative = _Tentative(self.mask.size(1), self.position, self.hidden[:, None])
            for layer in self._layers():
                if layer.is_sliding and hasattr(layer, "activate_past_recording"):
                    layer.activate_past_recording()  # keep what falls out of the window

    def _settle(self) -> None:
        """What was read tentatively stays for good."""
        if self._tentative is None:
            return
        if self._tentative.trees is not None:
            raise RuntimeError("trees were read: commit to one node of each first")
        self._tentative = None
        for layer in self._layers():
            if layer.is_sliding:
                layer.record_past = False
                first = -(layer.sliding_window - 1)
                layer.keys, layer.values = layer.keys[:, :, first:], layer.values[:, :, first:]

    def _retain(self, kept: Tensor, last: Sequence[int]) -> None:
        """Keep some of the tokens that were read tentatively.

        Args:
            kept: (R, N) booleans.
            last: of each row the one of the 1 + N outputs from which it goes on.
        """
        tried = self._tentative
        assert tried is not None
        if not self.can_join:
            raise RuntimeError("this LLM keeps more than keys and values and cannot forget tokens")
        wanted = torch.cat([self.mask[:, : tried.columns].bool(), kept], dim=1)
        length = int(wanted.sum(dim=1).max())
        # Kept columns in their order, as far right as possible; before them those that are not.
        columns = wanted.int().argsort(dim=1, stable=True)[:, -length:]
        for layer in self._layers():
            if (
                layer.is_sliding
                and not getattr(layer, "record_past", False)
                and length > layer.keys.size(2)
            ):
                raise RuntimeError("this version of Transformers cannot go back beyond a window")
            layer.keys, layer.values = (
                _gathered(layer, tensor, columns, wanted.size(1))
                for tensor in (layer.keys, layer.values)
            )
            if layer.is_sliding:
                layer.cumulative_length = length
                layer.record_past = False
        rows = torch.arange(len(last), device=self.hidden.device)
        self.mask = wanted.gather(1, columns).to(self.mask.dtype)
        self.hidden = tried.outputs[rows, torch.tensor(last, device=self.hidden.device)]
        self.position = tried.position + kept.sum(dim=1)
        self._tentative = None

    def _decode(self, token_ids: Tensor, attention_mask: Any, steps: Tensor) -> Tensor:
        """(R, T, D) outputs behind tokens that stand ``steps`` behind the last position."""
        positions = self.position[:, None] + steps
        if self.llm.max_positions is not None:
            # Only padding behind a row that has ended can lie beyond, and nobody looks there.
            positions = positions.clamp(max=self.llm.max_positions - 1)
        hidden: Tensor
        hidden, self._cache = self.llm(
            self.llm.embed(token_ids),
            attention_mask,
            positions,
            tasks=self.tasks,
            cache=self._cache,
            remember=True,
        )
        return hidden


def _shallow(layer: Any) -> Any:
    """A layer whose tensors can be replaced without changing those of the first."""
    twin = copy.copy(layer)
    vars(twin).update({k: dict(v) for k, v in vars(layer).items() if isinstance(v, dict)})
    return twin


def _aged(layer: Any, tensor: Tensor, length: int) -> Tensor:
    """(R, H, L, D) keys or values as if ``length`` tokens had been read."""
    kept = min(length, layer.sliding_window - 1) if layer.is_sliding else length
    return pad(tensor, (0, 0, kept - tensor.size(2), 0))


def _gathered(layer: Any, tensor: Tensor, columns: Tensor, total: int) -> Tensor:
    """(R, H, L', D): for each row some ``columns`` (R, L') of ``total`` that were read."""
    if layer.is_sliding:  # it holds the newest only, and needs no more than its window
        columns = columns[:, -(layer.sliding_window - 1) :] - (total - tensor.size(2))
        columns = columns.clamp(min=0)
    first, count = int(columns[0, 0]), columns.size(1)
    if torch.equal(columns, torch.arange(first, first + count).to(columns).expand_as(columns)):
        return tensor[:, :, first : first + count]
    index = columns[:, None, :, None].expand(-1, tensor.size(1), -1, tensor.size(3))
    return tensor.gather(2, index)


@torch.inference_mode()
def read_prefix(llm: LLM, inputs: LLMInput) -> LLMState:
    """Let the LLM read B prompts with speech, padded on the left."""
    hidden, cache = llm(
        inputs.inputs_embeds,
        inputs.attention_mask,
        inputs.position_ids,
        tasks=inputs.tasks,
        remember=True,
    )
    return LLMState(
        llm, hidden[:, -1], cache, inputs.attention_mask, inputs.position_ids[:, -1], inputs.tasks
    )
