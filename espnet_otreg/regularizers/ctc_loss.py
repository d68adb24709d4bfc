"""CTC between projected speech and the LLM's own input-embedding table.

The class posteriors of a frame are the softmax over a scaled cosine to the LLM's (frozen,
normalised) embeddings of the tokens in use; the blank, class 0, is the anchor token. So the loss
moves the projector's output to where the LLM keeps its tokens, without running the LLM.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from espnet_otreg.regularizers.base import AlignmentBatch, RegularizerOutput

BLANK = 0


def _compact(values: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Move the kept values of each row (B, T) to its front, with the rows' lengths (B,).

    >>> _compact(torch.tensor([[5, 6, 7]]), torch.tensor([[True, False, True]]))
    (tensor([[5, 7, 6]]), tensor([2]))
    """
    order = (~keep).to(torch.int8).argsort(dim=1, stable=True)
    return values.gather(1, order), keep.sum(1)


def frames_needed(classes: Tensor, lengths: Tensor) -> Tensor:
    """Fewest frames CTC can spell each target with: its tokens, and a blank between equal ones.

    Args:
        classes: (B, T) targets at the front of each row.
        lengths: (B,) number of targets.

    >>> frames_needed(torch.tensor([[4, 4, 5]]), torch.tensor([3]))
    tensor([4])
    """
    position = torch.arange(1, max(classes.shape[1], 1), device=classes.device)
    repeated = (classes[:, 1:] == classes[:, :-1]) & (position < lengths[:, None])
    return lengths + repeated.sum(1)


class CTCRegularizer:
    """Mean over utterances of the CTC loss divided by the number of the utterance's tokens.

    This is the convention of ``torch.nn.functional.ctc_loss(reduction="mean",
    zero_infinity=True)``: an utterance that cannot be spelled with its frames counts with a loss
    of zero, and so does one with no token left. Their shares are reported, not hidden:

    * ``ctc_too_short``: share of utterances with fewer frames than tokens + repetitions;
    * ``ctc_unknown_tokens``: share of transcript tokens that have no class (or are the anchor
      itself) and are dropped from the targets;
    * ``ctc_no_target``: share of utterances with no token left.
    """

    def __call__(self, batch: AlignmentBatch) -> RegularizerOutput:
        """The loss and its statistics, in fp32 (float64 if the read-out gives it).

        Raises:
            UserError: if the model has no token read-out.
        """
        readout = batch.readout_for("ctc")
        batch = batch.without_padding()
        with torch.autocast(batch.speech.device.type, enabled=False):
            log_probs = readout.log_probs(batch.speech)
            if log_probs.dtype != torch.float64:
                log_probs = log_probs.float()
        class_of = readout.class_of
        classes = torch.where(batch.text_mask, class_of[batch.text_ids.clamp(min=0)], -1)
        targets, lengths = _compact(classes, classes > BLANK)
        frames = batch.speech_mask.sum(1)
        too_short = frames < frames_needed(targets, lengths)
        counted = ~too_short & (lengths > 0)
        losses = F.ctc_loss(
            log_probs.transpose(0, 1),
            targets.clamp(min=BLANK),
            frames,
            lengths,
            blank=BLANK,
            reduction="none",
            zero_infinity=True,
        )
        value = torch.where(counted, losses / lengths.clamp(min=1), 0).mean()
        tokens = batch.text_mask.sum()
        share = log_probs.detach().dtype
        statistics = {
            "ctc_too_short": too_short.to(share).mean(),
            "ctc_unknown_tokens": (tokens - lengths.sum()) / tokens.clamp(min=1),
            "ctc_no_target": (lengths == 0).to(share).mean(),
        }
        return RegularizerOutput(value, statistics)
