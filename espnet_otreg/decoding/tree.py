"""Several continuations of one beginning, read by the LLM as a tree: what they share, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.decoding.cache import can_join


class TokenTree:
    """Token sequences of one utterance; sequences that begin alike share those nodes.

    Node 0 is the root, what stands before all of them; parents come before their children.

    Args:
        sequences: token ids.

    Attributes:
        tokens: the token of every node but the root.
        parents: the node before it.
        depths: how many tokens lead to it, itself included.
        paths: for every sequence its nodes, the root first.

    >>> tree = TokenTree([[7, 8], [7, 9], []])
    >>> tree.tokens, tree.parents, tree.depths, tree.paths
    ([7, 8, 9], [0, 1, 1], [1, 2, 2], [[0, 1, 2], [0, 1, 3], [0]])
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.paths: list[list[int]] = []
        children: dict[tuple[int, int], int] = {}
        for sequence in sequences:
            path = [0]
            for depth, token in enumerate(sequence, start=1):
                edge = (path[-1], token)
                if edge not in children:
                    children[edge] = len(children) + 1
                    self.tokens.append(token)
                    self.parents.append(edge[0])
                    self.depths.append(depth)
                path.append(children[edge])
            self.paths.append(path)

    def ancestors(self, width: int) -> Tensor:
        """(width, width) booleans, True where the node of a row has read that of a column.

        The root is left out, a node reads itself, and so does padding behind the last one.

        >>> TokenTree([[7, 8], [7, 9]]).ancestors(3).int().tolist()
        [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
        """
        seen = torch.eye(width, dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                seen[node] |= seen[parent - 1]
        return seen


def can_branch(model: Any, cache: Any) -> bool:
    """Whether the LLM can read a tree: all that it remembers is keys and values, and its attention
    takes a mask for every pair of tokens and knows no blocks of fixed places."""
    config = model.config.get_text_config()
    blocks = getattr(config, "attention_chunk_size", None)
    return can_join(cache) and not blocks and config._attn_implementation in ("sdpa", "eager")


def tree_masks(
    model: Any, cache: Any, past: Tensor, trees: Sequence[TokenTree], dtype: torch.dtype
) -> tuple[Tensor | dict[str, Tensor], Tensor]:
    """What the nodes of each row's tree may look at: the past and their own ancestors.

    Args:
        model: a causal LLM of Transformers.
        cache: its keys and values of R rows.
        past: (R, L) 1 on real positions.
        trees: R of them, at most N nodes each, not counting the root.
        dtype: of the LLM.

    Returns:
        What is added to the scores of attention, (R, 1, N, L + N), for each kind of layer if there
        are several, and the depths (R, N), 1 on padding.
    """
    width = max(len(tree.tokens) for tree in trees)
    own = torch.stack([tree.ancestors(width) for tree in trees]).to(past.device)
    depths = torch.ones(len(trees), width, dtype=torch.long)
    for row, tree in enumerate(trees):
        depths[row, : len(tree.depths)] = torch.tensor(tree.depths, dtype=torch.long)
    depths = depths.to(past.device)
    before = past.bool()[:, None, :].expand(-1, width, -1)
    # How many tokens back a key lies, counted from each node.
    ages = torch.arange(past.size(1), 0, -1, device=past.device) - 1
    distance = torch.cat(
        [depths[:, :, None] + ages, depths[:, :, None] - depths[:, None, :]], dim=2
    )
    visible = torch.cat([before, own], dim=2)

    def added(seen: Tensor) -> Tensor:
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]

    sliding = [layer for layer in cache.layers if layer.is_sliding]
    if not sliding:
        return added(visible), depths
    # Layers with a window have forgotten what lies outside it.
    forgotten = past.size(1) - sliding[0].keys.size(2)
    near = (visible & (distance < sliding[0].sliding_window))[:, :, forgotten:]
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if not kinds:
        return added(near), depths
    masks = {kind: near if kind == "sliding_attention" else visible for kind in sorted(kinds)}
    return {kind: added(seen) for kind, seen in masks.items()}, depths
