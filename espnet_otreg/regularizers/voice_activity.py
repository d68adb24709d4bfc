"""How much of an utterance is silence, by the CTC read-out: no audio and no parameter needed.

CTC-based voice activity detection (Yoshimura et al., ICASSP 2020): long runs of blanks are silence,
short ones lie between the tokens of speech, and speech reaches beyond the frames in which CTC
spells its tokens. Here a frame is silent if it is a blank of the best path and so are both its
neighbours: a run of blanks counts from three frames on, without the frames that touch a token. It
presupposes a projector that CTC has taught what a blank is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from espnet_otreg.regularizers.base import AlignmentBatch
from espnet_otreg.regularizers.ctc_loss import BLANK


def silent_frames(blank: Tensor, mask: Tensor) -> Tensor:
    """Mask (B, S) of the real frames that are blank and have no token beside them.

    Args:
        blank: (B, S) bool, frames read as blank; ignored on padding.
        mask: (B, S) bool, real frames.

    >>> blank = torch.tensor([[True, True, False, True, False, True, True, True]])
    >>> silent_frames(blank, torch.arange(8)[None] < 7).int()
    tensor([[1, 0, 0, 0, 0, 0, 1, 0]], dtype=torch.int32)
    """
    spoken = mask & ~blank
    speech = spoken.clone()
    speech[:, 1:] |= spoken[:, :-1]
    speech[:, :-1] |= spoken[:, 1:]
    return mask & ~speech


@torch.no_grad()
def silent_share(batch: AlignmentBatch) -> Tensor:
    """(B,) share of silent frames of each utterance, float32.

    At least half a frame stays on either side, so that neither silence nor speech is without mass.

    Raises:
        UserError: if the model has no token read-out.
    """
    readout = batch.readout_for("otreg with anchor_mass: voice_activity")
    best = readout.log_probs(batch.speech.detach()).argmax(-1)
    silent = silent_frames(best == BLANK, batch.speech_mask).sum(1)
    frames = batch.speech_mask.sum(1).clamp(min=1)
    return silent.clamp(min=0.5).minimum(frames - 0.5) / frames
