"""How near speech embeddings lie to transcripts: transport cost, best cosine, anisotropy.

The transport is OTReg's with the same settings whatever a model was trained with, so that the
figures of all arms mean the same: frames to the anchor and the distinct tokens of a transcript,
cost 1 - cosine, 30 % of the mass for the anchor (about the share of silence), the rest uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.ot import hard_alignment, sinkhorn
from espnet_otreg.ot.costs import unit_vectors
from espnet_otreg.regularizers.otreg import OTRegConfig
from espnet_otreg.regularizers.targets import uniform_mass

ANCHOR_MASS = 0.3
SETTINGS = OTRegConfig(anchor_mass=ANCHOR_MASS)


@dataclass(frozen=True, eq=False)
class Transcripts:
    """Transcripts to which speech is compared.

    Attributes:
        table: (C, D) unit embeddings of all their tokens; row 0 is the anchor.
        rows: (N, T) rows of the table; column 0 is the anchor, then the distinct tokens in the
            order of their first occurrence; 0 on padding.
        mask: (N, T) bool, False on padding.
    """

    table: Tensor
    rows: Tensor
    mask: Tensor

    def __getitem__(self, indices: Sequence[int]) -> Transcripts:
        """Some of the transcripts, without the padding that they do not need."""
        mask = self.mask[list(indices)]
        width = int(mask.sum(1).max())
        return Transcripts(self.table, self.rows[list(indices), :width], mask[:, :width])


@dataclass(frozen=True, eq=False)
class Comparison:
    """One utterance against N transcripts.

    Attributes:
        best_cosine: (N,) mean over the distinct tokens of the cosine to the nearest frame. The
            other direction, over frames, says little: most frames are silence, and the more
            tokens a transcript has, the nearer one of them is to any frame.
        transport: (N,) transport cost ``<P, C>``.
        coupling: (N, S, T) plans P.
    """

    best_cosine: Tensor
    transport: Tensor
    coupling: Tensor


def distinct(ids: Sequence[int], anchor_id: int) -> list[int]:
    """The tokens of a transcript, each once, without the anchor.

    >>> distinct([5, 7, 5, 0], anchor_id=0)
    [5, 7]
    """
    return [token for token in dict.fromkeys(ids) if token != anchor_id]


def make_transcripts(
    transcripts: Sequence[Sequence[int]], anchor_id: int, embed: Callable[[Tensor], Tensor]
) -> Transcripts:
    """Collect the targets of some transcripts.

    Args:
        transcripts: token ids of each.
        anchor_id: token id of the anchor.
        embed: (C,) token ids to (C, D) embeddings.

    >>> table = torch.eye(4)
    >>> made = make_transcripts([[3, 3], [2, 3]], anchor_id=0, embed=lambda ids: table[ids])
    >>> made.rows.tolist(), made.mask.tolist()
    ([[0, 1, 0], [0, 2, 1]], [[True, True, False], [True, True, True]])
    """
    targets = [distinct(ids, anchor_id) for ids in transcripts]
    used = [anchor_id, *dict.fromkeys(token for ids in targets for token in ids)]
    row_of = {token: row for row, token in enumerate(used)}
    width = 1 + max((len(ids) for ids in targets), default=0)
    rows = torch.zeros(len(targets), width, dtype=torch.int64)
    mask = torch.zeros(len(targets), width, dtype=torch.bool)
    for number, ids in enumerate(targets):
        rows[number, 1 : 1 + len(ids)] = torch.tensor([row_of[i] for i in ids], dtype=torch.int64)
        mask[number, : 1 + len(ids)] = True
    table = embed(torch.tensor(used)).detach().float()
    return Transcripts(unit_vectors(table), rows.to(table.device), mask.to(table.device))


def compare(speech: Tensor, transcripts: Transcripts) -> Comparison:
    """Measure how near one utterance lies to each of some transcripts.

    Args:
        speech: (S, D) embeddings of its frames.
        transcripts: N of them.

    >>> table = torch.eye(3)
    >>> made = make_transcripts([[1], [2]], anchor_id=0, embed=lambda ids: table[ids])
    >>> compare(table[[0, 1]], made).best_cosine.tolist()
    [1.0, 0.0]
    """
    cosine = unit_vectors(speech.float()) @ transcripts.table.T
    paired = cosine[:, transcripts.rows].transpose(0, 1)  # (N, S, T)
    tokens = transcripts.mask.clone()
    tokens[:, 0] = False
    mass = (1 - ANCHOR_MASS) * uniform_mass(tokens)
    mass[:, 0] = 1 - mass.sum(1)  # everything, where there is no token beside it
    solution = sinkhorn(
        (1 - paired).clamp(0, 2),
        target_mask=transcripts.mask,
        target_mass=mass,
        epsilon=SETTINGS.epsilon,
        max_iterations=SETTINGS.max_iterations,
        tolerance=SETTINGS.tolerance,
        gradient="envelope",
    )
    best = torch.where(tokens, paired.amax(1), 0).sum(1) / tokens.sum(1).clamp(min=1)
    return Comparison(best, solution.linear_cost, solution.coupling)


def anchor_frames(coupling: Tensor) -> float:
    """Share of the frames of a plan (S, T) that give the anchor most of their mass.

    >>> anchor_frames(torch.tensor([[0.4, 0.1], [0.1, 0.4]]))
    0.5
    """
    return float((hard_alignment(coupling) == 0).float().mean())


class Anisotropy:
    """Mean cosine of two different ones of N vectors, which need not be kept.

    ``(|sum_i u_i|^2 - N) / (N (N - 1))`` with the vectors scaled to length one, so that their sum
    is all that is stored.

    >>> seen = Anisotropy()
    >>> seen.add(torch.tensor([[1.0, 0.0], [2.0, 0.0]]))
    >>> seen.add(torch.tensor([[0.0, 1.0]]))
    >>> round(seen.value(), 3)
    0.333
    """

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._count = 0

    def add(self, vectors: Tensor) -> None:
        """Take in N vectors (N, D)."""
        self._sum = self._sum + unit_vectors(vectors.double()).sum(0)
        self._count += len(vectors)

    def value(self) -> float:
        """Of all vectors so far; 0 if there are fewer than two."""
        if self._count < 2:
            return 0.0
        total = float(torch.as_tensor(self._sum).square().sum())
        return (total - self._count) / (self._count * (self._count - 1))
