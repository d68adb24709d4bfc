"""Fitting loss and Monge gap of the projector, from speech and text that need not be pairs.

Let f_1..f_N be the projected frames of all utterances of a batch, f'_i where the projector had put
the same frames when training began, g_1..g_M the tokens of all transcripts and g_0 the anchor, all
scaled to length one. With T the map from f' to f (Uscidda & Cuturi 2023),

    L    = S(F, G) + gap_weight * M(T)
    S    = Sinkhorn divergence of F = {f_i}, uniform, and G = {g_0: anchor_mass, g_j: equal shares}
    M(T) = mean_i c(f'_i, T(f'_i)) - W(F', F)          debiased, see espnet_otreg.ot.monge_gap
    c    = |x - y|^2 / 2 = 1 - cos(x, y)

The first term asks that speech as a whole lies where text as a whole lies, the second that the
projector gets there as cheaply as possible, without exchanging what it could have left in place.
Neither looks at which transcript belongs to which utterance, so that speech and text may come from
different sources. The pool is that of one process and one batch.

The paper's maps lead from one space to another of the same dimension. A projector does not: its own
output at the start of the training as the first space is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.ot import cosine_cost, monge_gap, sinkhorn_divergence
from espnet_otreg.ot.costs import unit_vectors
from espnet_otreg.precision import working_dtype
from espnet_otreg.regularizers.base import ANNEALING, AlignmentBatch, RegularizerOutput


def evenly_spaced(count: int, most: int, device: torch.device) -> Tensor:
    """Indices of at most ``most`` of ``count`` things, evenly spaced.

    >>> evenly_spaced(7, 3, torch.device("cpu")), evenly_spaced(2, 3, torch.device("cpu"))
    (tensor([0, 2, 4]), tensor([0, 1]))
    """
    kept = min(count, most)
    return torch.arange(kept, device=device) * count // max(kept, 1)


@dataclass(frozen=True)
class MongeGapRegularizer:
    """Fitting loss and gap of an :class:`AlignmentBatch`; it has no parameters.

    Its settings are those of ``MongeGapConfig``, which has their defaults.
    """

    gap_weight: float
    fitting_epsilon: float
    gap_epsilon: float
    anchor_mass: float
    max_points: int
    max_iterations: int
    tolerance: float

    def _pool(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) vectors to (1, N', D): the masked ones of all utterances, of length one."""
        real = vectors[mask]
        real = real[evenly_spaced(len(real), self.max_points, real.device)]
        return unit_vectors(real.to(working_dtype(real)))[None]

    def __call__(self, batch: AlignmentBatch) -> RegularizerOutput:
        """Both terms over the batch, in float32 whatever autocast says; zero without speech.

        Raises:
            ValueError: if the batch does not say where the speech was at the start.

        >>> from dataclasses import replace
        >>> from espnet_otreg.regularizers.otreg_loss import example_batch
        >>> from espnet_otreg.regularizers import MongeGapConfig
        >>> batch = example_batch()
        >>> regularizer = MongeGapConfig().build()
        >>> output = regularizer(replace(batch, speech_at_start=batch.speech))
        >>> bool(output.statistics["monge_gap_of_map"] < 0.02)  # nothing has moved
        True
        """
        if batch.speech_at_start is None:
            raise ValueError("speech_at_start: expected (B, S, D) embeddings, found None")
        with torch.autocast(batch.speech.device.type, enabled=False):
            speech = self._pool(batch.speech, batch.speech_mask)
            start = self._pool(batch.speech_at_start.detach(), batch.speech_mask)
            tokens = self._pool(batch.text.detach(), batch.text_mask)
            anchor = unit_vectors(batch.anchor.detach().to(speech.dtype))[None, None]
            if speech.shape[1] == 0:
                return RegularizerOutput(batch.speech.new_zeros(()))
            mass = speech.new_full((1, 1 + tokens.shape[1]), 1.0)
            if tokens.shape[1] > 0:
                mass[:, 0] = self.anchor_mass
                mass[:, 1:] = (1 - self.anchor_mass) / tokens.shape[1]
            fitting = sinkhorn_divergence(
                speech,
                torch.cat([anchor, tokens.to(speech.dtype)], dim=1),
                y_mass=mass,
                epsilon=self.fitting_epsilon,
                max_iterations=self.max_iterations,
                tolerance=self.tolerance,
                cost=cosine_cost,
                annealing=ANNEALING,
            )[0]
            gap = monge_gap(
                start,
                speech,
                epsilon=self.gap_epsilon,
                max_iterations=self.max_iterations,
                tolerance=self.tolerance,
                cost=cosine_cost,
            )[0]
        moved = (start - speech.detach()).square().sum(-1).mean() / 2
        statistics = {
            "monge_gap_fitting": fitting.detach(),
            "monge_gap_of_map": gap.detach(),
            "monge_gap_moved": moved,
        }
        return RegularizerOutput(fitting + self.gap_weight * gap, statistics)
