"""Several continuations of one beginning, read by the LLM as a tree: what they share, once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


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

    def path_to(self, node: int) -> list[int]:
        """The nodes that lead to one, itself included, without the root.

        >>> TokenTree([[7, 8], [7, 9]]).path_to(3)
        [1, 3]
        """
        path: list[int] = []
        while node:
            path.append(node)
            node = self.parents[node - 1]
        return path[::-1]


def tree_depths(trees: Sequence[TokenTree]) -> Tensor:
    """How many tokens lead to each node: (R, N), without the roots, 1 on padding.

    >>> tree_depths([TokenTree([[7, 8]]), TokenTree([[7]])]).tolist()
    [[1, 2], [1, 1]]
    """
    rows = [torch.tensor(tree.depths, dtype=torch.long) for tree in trees]
    return pad_sequence(rows, batch_first=True, padding_value=1)


def tree_mask(
    past: Tensor,
    trees: Sequence[TokenTree],
    depths: Tensor,
    dtype: torch.dtype,
    window: int | None = None,
    remembered: int | None = None,
) -> Tensor:
    """What the nodes of each row's tree may look at: the past and their own ancestors.

    Args:
        past: (R, L) 1 on real positions.
        trees: R of them, at most N nodes each, not counting the root.
        depths: (R, N) of their nodes.
        dtype: of the LLM.
        window: tokens that a layer looks at, the newest included; None for all.
        remembered: columns of the past that such a layer still has.

    Returns:
        What is added to the scores of attention, (R, 1, N, L + N), or (R, 1, N, remembered + N).

    >>> chain = [TokenTree([[7, 8]])]
    >>> mask = tree_mask(torch.ones(1, 2), chain, tree_depths(chain), torch.float32, 2, 1)
    >>> (mask == 0).int().tolist()
    [[[[1, 1, 0], [0, 1, 1]]]]
    """
    width = depths.size(1)
    own = torch.stack([tree.ancestors(width) for tree in trees]).to(past.device)
    seen = torch.cat([past.bool()[:, None, :].expand(-1, width, -1), own], dim=2)
    if window is not None:
        # How many tokens back a key lies, counted from each node.
        ages = torch.arange(past.size(1), 0, -1, device=past.device) - 1
        behind = [depths[:, :, None] + ages, depths[:, :, None] - depths[:, None, :]]
        seen = seen & (torch.cat(behind, dim=2) < window)
    if remembered is not None:
        seen = seen[:, :, past.size(1) - remembered :]
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]
