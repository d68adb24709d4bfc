"""Sinkhorn divergence between projected speech and the transcript's embeddings, with positions.

For one utterance with frames f_1..f_S and token embeddings g_1..g_T (Le et al., ICML 2023, "CTC
meets optimal transport", with the LLM's embedding table as the text branch):

    f'_i = [f_i ; w (i - 1) / (S - 1)]      g'_j = [g_j ; w (j - 1) / (T - 1)]
    L    = S_epsilon(f', g')    with cost |f' - g'|^2 / 2,  uniform masses,  epsilon = blur^2

and the batch's value is the mean of L over its utterances. Three faults of the published code are
absent: padding has no mass, a sequence of one is at position 0 instead of 0/0, and every setting
means one thing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.ot import sinkhorn_divergence, with_position
from espnet_otreg.ot.costs import unit_vectors
from espnet_otreg.precision import working_dtype
from espnet_otreg.regularizers.base import ANNEALING, AlignmentBatch, RegularizerOutput


@dataclass(frozen=True)
class DivergenceRegularizer:
    """The divergence of an :class:`AlignmentBatch`; it has no parameters.

    Its settings are those of ``DivergenceConfig``, which has their defaults.
    """

    blur: float
    position_weight: float
    normalize: bool
    max_iterations: int
    tolerance: float

    def __call__(self, batch: AlignmentBatch) -> RegularizerOutput:
        """The mean over utterances, in float32 whatever autocast says.

        An utterance without frames or without tokens counts with zero.

        >>> from espnet_otreg.regularizers.otreg_loss import example_batch
        >>> from espnet_otreg.regularizers import DivergenceConfig
        >>> regularizer = DivergenceConfig(position_weight=0.0).build()
        >>> regularizer(example_batch()).value > 0  # three frames, the first is no token
        tensor(True)
        """
        batch = batch.without_padding()
        with torch.autocast(batch.speech.device.type, enabled=False):
            divergence = sinkhorn_divergence(
                self._placed(batch.speech, batch.speech_mask),
                self._placed(batch.text.detach(), batch.text_mask),
                batch.speech_mask,
                batch.text_mask,
                epsilon=self.blur**2,
                max_iterations=self.max_iterations,
                tolerance=self.tolerance,
                annealing=ANNEALING,
            )
        return RegularizerOutput(divergence.mean())

    def _placed(self, points: Tensor, mask: Tensor) -> Tensor:
        """Embeddings (B, N, D) with their position, (B, N, D + 1)."""
        points = points.to(working_dtype(points))
        points = unit_vectors(points) if self.normalize else points
        return with_position(points, mask.sum(1), self.position_weight)
