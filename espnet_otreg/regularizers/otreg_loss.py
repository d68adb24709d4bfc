"""OTReg: optimal transport regularization of the projector (Xu et al., arXiv 2508.08131).

For one utterance with projected speech f_1..f_S and targets g_0 (the anchor), g_1..g_T (the
unique transcript tokens, as the LLM embeds them):

    C_ij = 1 - cos(f_i, g_j)
    P    = argmin <P, C> + epsilon KL(P | a b^T)   with   P 1 = a,  P^T 1 = b
    L    = <P, C> + sparsity_weight * mean_i H(P_i. / sum_j P_ij)

and the batch's value is the mean of L over its utterances. ``plan: sparse`` takes the k-sparse plan
of :func:`espnet_otreg.ot.sparse_transport` instead; where a frame's targets tie, which ones it gets
is then a matter of rounding.

The paper's full text was not at hand. Known with high or medium-high confidence: unique transcript
embeddings as targets, an additional anchor (the pad token's embedding) for silence, the cosine
cost, uniform marginals, entropic transport, a transport cost plus a term that makes each frame's
row concentrated, weight 0.3, no new parameters, and a start only after ordinary training has
brought the projector near the text. Our choice, for lack of a source: epsilon, the iterations,
the row entropy as the concentrating term and its weight, de-duplication by token id, a separate
mass for the anchor, relaxing the frames' marginal, and the exact (implicit) gradient of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from espnet_otreg.ot import (
    TransportSolution,
    cosine_cost,
    hard_alignment,
    row_entropy,
    row_impurity,
    row_spread,
    sinkhorn,
    sparse_transport,
)
from espnet_otreg.regularizers.base import AlignmentBatch, RegularizerOutput
from espnet_otreg.regularizers.targets import TargetSet, make_targets, norm_mass
from espnet_otreg.regularizers.voice_activity import silent_share

_SPARSITY = {"entropy": row_entropy, "impurity": row_impurity, "spread": row_spread}


@dataclass(frozen=True, eq=False)
class TransportAlignment:
    """Plan between the frames of a batch and their targets: what the loss and pictures read."""

    targets: TargetSet
    cost: Tensor
    solution: TransportSolution


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the masked values along the last dimension; 0 where the mask is empty."""
    return torch.where(mask, values, 0).sum(-1) / mask.sum(-1).clamp(min=1)


@dataclass(frozen=True)
class OTRegularizer:
    """The OTReg loss of an :class:`AlignmentBatch`; it has no parameters.

    Its settings are those of ``OTRegConfig``, which has their defaults.
    """

    plan: Literal["entropic", "sparse"]
    epsilon: float
    max_nonzeros: int
    gamma: float
    max_iterations: int
    tolerance: float
    sparsity_weight: float
    sparsity: Literal["entropy", "impurity", "spread"]
    anchor: bool
    anchor_mass: float | Literal["voice_activity"] | None
    deduplicate: Literal["token_id", "none"]
    marginals: Literal["uniform", "norm"]
    source_relaxation: float | None
    gradient: Literal["implicit", "unrolled", "envelope"]

    def _anchor_mass(self, batch: AlignmentBatch) -> float | Tensor | None:
        mass = self.anchor_mass
        return silent_share(batch)[:, None] if isinstance(mass, str) else mass

    def align(self, batch: AlignmentBatch) -> TransportAlignment:
        """Transport every utterance's frames to its targets.

        >>> from espnet_otreg.regularizers import OTRegConfig
        >>> alignment = OTRegConfig().build().align(example_batch())
        >>> alignment.solution.coupling.shape, alignment.targets.ids.tolist()
        (torch.Size([1, 3, 3]), [[0, 1, 2]])
        """
        batch = batch.without_padding()
        targets = make_targets(
            batch,
            self.anchor,
            self._anchor_mass(batch),
            self.deduplicate,
            self.marginals,
        )
        cost = cosine_cost(batch.speech, targets.embeddings)
        norm = self.marginals == "norm"
        mass = norm_mass(batch.speech, batch.speech_mask) if norm else None
        problem = (cost, batch.speech_mask, targets.mask, mass, targets.mass)
        if self.plan == "sparse":
            solution = sparse_transport(
                *problem,
                gamma=self.gamma,
                max_nonzeros=self.max_nonzeros,
                max_iterations=self.max_iterations,
                tolerance=self.tolerance,
            )
        else:
            solution = sinkhorn(
                *problem,
                epsilon=self.epsilon,
                max_iterations=self.max_iterations,
                tolerance=self.tolerance,
                source_relaxation=self.source_relaxation,
                gradient=self.gradient,
            )
        return TransportAlignment(targets, cost, solution)

    def __call__(self, batch: AlignmentBatch) -> RegularizerOutput:
        """The mean loss of the utterances, with the statistics named in the module's tests.

        An utterance without frames, or without targets (no transcript and no anchor), counts
        with a loss of zero.

        >>> from espnet_otreg.regularizers import OTRegConfig
        >>> output = OTRegConfig(sparsity_weight=0.0).build()(example_batch())
        >>> round(output.value.item(), 3)
        0.0
        """
        alignment = self.align(batch)
        solution = alignment.solution
        entropy = row_entropy(solution.coupling)
        loss = solution.linear_cost
        if self.sparsity_weight > 0:
            measure = _SPARSITY[self.sparsity]
            sparsity = entropy if measure is row_entropy else measure(solution.coupling)
            loss = loss + self.sparsity_weight * _mean(sparsity, batch.speech_mask)
        with torch.no_grad():
            statistics = _statistics(batch, alignment, _mean(entropy, batch.speech_mask))
        return RegularizerOutput(loss.mean(), statistics)


def _statistics(
    batch: AlignmentBatch, alignment: TransportAlignment, entropy: Tensor
) -> dict[str, Tensor]:
    """Detached scalars that tell whether the transport is solved and what it does."""
    targets, solution = alignment.targets, alignment.solution
    statistics = {
        "otreg_cost": solution.linear_cost.detach().mean(),
        "otreg_plan_entropy": entropy.detach().mean(),
        "otreg_marginal_error": solution.residual.mean(),
        "otreg_iterations": solution.iterations.to(entropy.dtype).mean(),
        "otreg_unconverged": (~solution.converged).to(entropy.dtype).mean(),
    }
    tokens = targets.token_mask
    if tokens.shape[1] > 0:
        cosine = 1 - alignment.cost.detach()
        best = torch.where(tokens[:, None, :], cosine, -torch.inf).amax(-1)
        has_tokens = tokens.any(-1)
        per_utterance = _mean(best, batch.speech_mask & has_tokens[:, None])
        statistics["otreg_best_cosine"] = _mean(per_utterance, has_tokens)
    if targets.has_anchor:
        coupling = solution.coupling.detach()
        total = coupling.sum()
        statistics["otreg_anchor_mass"] = coupling[:, :, 0].sum() / torch.where(total > 0, total, 1)
        at_anchor = (hard_alignment(coupling) == 0) & batch.speech_mask
        share = at_anchor.sum() / batch.speech_mask.sum().clamp(min=1)
        statistics["otreg_anchor_frames"] = share
    return statistics


def example_batch() -> AlignmentBatch:
    """One utterance whose three frames are its anchor and its two tokens, for examples.

    >>> example_batch().speech.shape
    torch.Size([1, 3, 3])
    """
    table = torch.eye(3)
    mask = torch.ones(1, 3, dtype=torch.bool)
    ids = torch.tensor([[1, 2]])
    return AlignmentBatch(table[None], mask, table[ids], ids, mask[:, 1:], table[0], 0, 0.04, None)
