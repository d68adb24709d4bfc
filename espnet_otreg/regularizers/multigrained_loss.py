"""Multi-grained alignment of speech and transcript (after ORMA: Min et al., BIBM 2024).

For every utterance, an entropic plan between projected frames f_1..f_S and targets (the anchor, and
the unique transcript tokens g_1..g_T as the LLM embeds them):

    C_ij = 1 - cos(f_i, g_j)
    P    = argmin <P, C> + epsilon KL(P | a b^T)   with   P 1 = a,  P^T 1 = b

gives pairs of a speech and a text vector at three levels
(:mod:`espnet_otreg.regularizers.levels`): tokens with their frames, segments with the tokens that
the plan gives them, utterances with their transcripts. At each level l every pair is contrasted
with the pairs of the other utterances
(:mod:`espnet_otreg.regularizers.contrastive`; l_k is the mean of both directions):

    L_l  = mean over utterances of sum_k w_k l_k,  sum_k w_k = 1 in an utterance
    loss = token_weight L_token + segment_weight L_segment + utterance_weight L_utterance

No negatives are: pairs of an utterance with the same transcript (its own included, so that a batch
of one, or of one sentence, has a loss of zero), and at the level of tokens those with the same
token. An utterance without frames or without tokens counts with zero.

The paper's, known from its abstract: three levels (token and atom, multi-token and motif, sentence
and molecule), transport that makes one multi-token vector for each motif, contrast of matched
against unmatched pairs at each level. Ours: frames for atoms, fixed stretches of frames for motifs,
utterances for molecules; one plan between frames and tokens, summed over segments, where the paper
has one between motifs and tokens; frames pooled for each token before anything is compared across
utterances, so that M pairs cost M^2 comparisons and not all frames with all tokens; the anchor; the
weights of segments, which are constants; all numbers, for the paper's weights and temperature
were not found. The text side is the LLM's frozen table, so only speech has a gradient; it includes
that of the plan.

In a distributed training the pairs of all processes are contrasted with each other at all levels,
and the processes' values and gradients, weighted by their utterances, are those of one process with
the joined batch. Each holds M x M numbers for the M pairs of all processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from espnet_otreg.ot import cosine_cost, sinkhorn
from espnet_otreg.regularizers.base import AlignmentBatch, RegularizerOutput
from espnet_otreg.regularizers.contrastive import (
    contrastive_losses,
    ranks_first,
    scaled_cosine,
)
from espnet_otreg.regularizers.gather import gather_rows
from espnet_otreg.regularizers.levels import Pairs, segment_pairs, token_pairs, utterance_pairs
from espnet_otreg.regularizers.targets import make_targets


@dataclass(frozen=True)
class MultigrainedRegularizer:
    """The multi-grained contrast of an :class:`AlignmentBatch`; it has no parameters.

    Its settings are those of ``MultigrainedConfig``, which has their defaults; ``level_weights``
    are the weights by level.
    """

    level_weights: dict[str, float]
    temperature: float
    segment_seconds: float
    epsilon: float
    max_iterations: int
    tolerance: float
    anchor: bool
    anchor_mass: float | None

    def pairs(self, batch: AlignmentBatch) -> tuple[dict[str, Pairs], Tensor]:
        """The pairs of every level that has a weight, and which plans, (B,), are solved.

        >>> from espnet_otreg.regularizers.otreg_loss import example_batch
        >>> from espnet_otreg.regularizers import MultigrainedConfig
        >>> levels, solved = MultigrainedConfig().build().pairs(example_batch())
        >>> {name: len(pairs.weight) for name, pairs in levels.items()}, solved
        ({'token': 2, 'segment': 1, 'utterance': 1}, tensor([True]))
        """
        batch = batch.without_padding()
        targets = make_targets(batch, self.anchor, self.anchor_mass, "token_id", "uniform")
        solution = sinkhorn(
            cosine_cost(batch.speech, targets.embeddings),
            batch.speech_mask,
            targets.mask,
            None,
            targets.mass,
            epsilon=self.epsilon,
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
        )
        plan = torch.where(targets.token_mask[:, None, :], solution.coupling, 0)
        sides = (plan, batch.speech, targets.embeddings)
        frames = max(1, round(self.segment_seconds / batch.frame_seconds))
        levels = {}
        for level in self.level_weights:
            if level == "token":
                levels[level] = token_pairs(*sides, targets.ids)
            elif level == "segment":
                levels[level] = segment_pairs(*sides, frames)
            else:
                levels[level] = utterance_pairs(
                    plan, batch.speech, batch.text.detach(), batch.text_mask
                )
        return levels, solution.converged

    def __call__(self, batch: AlignmentBatch) -> RegularizerOutput:
        """The weighted sum of the levels' mean losses, in float32 whatever autocast says.

        Statistics are every level's loss, ``multigrained_<level>``, its share of pairs whose speech
        is nearer to its own text than to that of all negatives, ``multigrained_<level>_accuracy``,
        and the share of plans that are not solved, ``multigrained_unconverged``.

        >>> from espnet_otreg.regularizers.otreg_loss import example_batch
        >>> from espnet_otreg.regularizers import MultigrainedConfig
        >>> MultigrainedConfig().build()(example_batch()).value  # one utterance
        tensor(0.)
        """
        with torch.autocast(batch.speech.device.type, enabled=False):
            levels, solved = self.pairs(batch)
            transcript, first = _transcripts(batch)
            statistics = {"multigrained_unconverged": (~solved).to(torch.float32).mean()}
            terms = []
            for level, pairs in levels.items():
                loss, accuracy = self._contrast(pairs, transcript, first, len(batch.text_ids))
                terms.append(self.level_weights[level] * loss)
                statistics[f"multigrained_{level}"] = loss.detach()
                statistics[f"multigrained_{level}_accuracy"] = accuracy
        return RegularizerOutput(torch.stack(terms).sum(), statistics)

    def _contrast(
        self, pairs: Pairs, transcript: Tensor, first: int, utterances: int
    ) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy of this process's utterances, contrasted with those of all.

        Args:
            pairs: this process's.
            transcript: number of the transcript of every utterance of all processes.
            first: where this process's utterances begin.
            utterances: how many it has.
        """
        speech, own = gather_rows(pairs.speech)
        text, _ = gather_rows(pairs.text)
        weight, _ = gather_rows(pairs.weight[:, None])
        names = [transcript[first + pairs.utterance]]
        if pairs.token is not None:
            names.append(pairs.token)
        labels, _ = gather_rows(torch.stack(names, dim=1))
        negatives = (labels[:, None] != labels).all(2)
        similarity = scaled_cosine(speech, text, self.temperature)
        losses = weight[:, 0] * contrastive_losses(similarity, negatives) / utterances
        value = losses[own].sum()
        # Those of other processes count with them, but their gradient for our speech is found here.
        everywhere = losses.sum()
        hits = weight[own, 0] * ranks_first(similarity.detach(), negatives)[own]
        accuracy = hits.sum() / weight[own, 0].sum().clamp(min=1)
        return value.detach() + (everywhere - everywhere.detach()), accuracy


def _transcripts(batch: AlignmentBatch) -> tuple[Tensor, int]:
    """A number for every utterance of all processes, equal for equal transcripts, and the place
    of this process's first utterance."""
    ids = torch.where(batch.text_mask, batch.text_ids, -1)
    # One column of padding, because `unique` takes no empty rows.
    rows, own = gather_rows(F.pad(ids, (0, 1), value=-1), padding=-1)
    return rows.unique(dim=0, return_inverse=True)[1], own.start
