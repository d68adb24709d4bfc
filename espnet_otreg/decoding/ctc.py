"""Reading transcripts off CTC posteriors: best path, prefix beam search, and their probability."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

BLANK = 0
IMPOSSIBLE = -1e4  # finite, so that a weight of zero ignores it
_UNLIKELY = 1e-4  # a class of lower probability starts no new prefix
_CLASSES_PER_FRAME = 8


def best_paths(log_probs: Tensor, mask: Tensor) -> list[tuple[list[int], float]]:
    """The likeliest class of every frame, repetitions merged, blanks removed.

    Args:
        log_probs: (B, S, C) log-probabilities, class 0 is the blank.
        mask: (B, S) booleans, True on real frames.

    Returns:
        Classes and log-probability of the path (not of all alignments) of each utterance.

    >>> log_probs = torch.tensor([[[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]]]).log()
    >>> [(classes, score)] = best_paths(log_probs, torch.ones(1, 4, dtype=torch.bool))
    >>> classes, round(score, 3)
    ([1, 1], -0.791)
    """
    values, classes = log_probs.max(dim=-1)
    scores = (values * mask).sum(dim=1).tolist()
    changed = torch.ones_like(mask)
    changed[:, 1:] = classes[:, 1:] != classes[:, :-1]
    kept = mask & changed & (classes != BLANK)
    rows = [row[keep].tolist() for row, keep in zip(classes, kept, strict=True)]
    return list(zip(rows, scores, strict=True))


def prefix_beam_search(
    probs: Tensor,
    beam: int,
    n_best: int,
    classes_per_frame: int = _CLASSES_PER_FRAME,
    fused: Callable[[tuple[int, ...]], float] | None = None,
) -> list[tuple[tuple[int, ...], float]]:
    """The likeliest transcripts of one utterance, alignments summed (Hannun et al. 2014).

    Only prefixes within the beam are summed, so the probabilities are lower bounds, exact where
    the beam holds every prefix.

    Args:
        probs: (S, C) probabilities, class 0 is the blank.
        beam: prefixes kept after each frame.
        n_best: transcripts returned.
        classes_per_frame: the likeliest classes that may extend a prefix.
        fused: what is added to the log-probability of a prefix where prefixes compete, as by a
            language model; asked for a prefix after it was for the one before its last class.

    Returns:
        Classes and log-probability by CTC alone, those first that have done best.

    >>> probs = torch.tensor([[0.6, 0.4], [0.6, 0.4]])
    >>> [(classes, round(math.exp(score), 2)) for classes, score in prefix_beam_search(probs, 8, 2)]
    [((1,), 0.64), ((), 0.36)]
    """
    top = probs.topk(min(classes_per_frame + 1, probs.size(1)), dim=1)
    frames = zip(probs.tolist(), top.values.tolist(), top.indices.tolist(), strict=True)
    # prefix -> probability of its alignments that end in a blank, in its last class; scaled by
    # the best one after each frame, since products of many small numbers would vanish
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    scale = 0.0
    for row, values, indices in frames:
        extensions = [
            (c, p) for c, p in zip(indices, values, strict=True) if c != BLANK and p >= _UNLIKELY
        ]
        grown: dict[tuple[int, ...], list[float]] = {}
        for prefix, (blank, spoken) in beams.items():
            last = prefix[-1] if prefix else -1
            here = grown.setdefault(prefix, [0.0, 0.0])
            here[0] += (blank + spoken) * row[BLANK]
            if prefix:
                here[1] += spoken * row[last]
            for c, p in extensions:
                # A repetition is a new token only behind a blank.
                weight = blank if c == last else blank + spoken
                if weight:
                    grown.setdefault((*prefix, c), [0.0, 0.0])[1] += weight * p
        if fused is None:
            kept = sorted(grown.items(), key=lambda item: -(item[1][0] + item[1][1]))[:beam]
        else:
            ranks = {p: math.log(sum(both) or 1e-300) + fused(p) for p, both in grown.items()}
            kept = sorted(grown.items(), key=lambda item: -ranks[item[0]])[:beam]
        best = max(sum(both) for _, both in kept) or 1e-300
        scale += math.log(best)
        beams = {prefix: (b / best, s / best) for prefix, (b, s) in kept}
    found = [(prefix, b + s) for prefix, (b, s) in beams.items() if b + s > 0][:n_best]
    return [(prefix, math.log(p) + scale) for prefix, p in found]


def ctc_log_probs(log_probs: Tensor, transcripts: Sequence[Sequence[int]]) -> list[float]:
    """Log-probabilities of transcripts, summed over all alignments (the CTC forward algorithm).

    Args:
        log_probs: (S, C) of one utterance, class 0 is the blank.
        transcripts: lists of classes other than the blank.

    Returns:
        One number each; :data:`IMPOSSIBLE` where the frames are too few.

    >>> log_probs = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    >>> [round(math.exp(p), 2) for p in ctc_log_probs(log_probs, [[1], [], [1, 1]])]
    [0.64, 0.36, 0.0]
    """
    count = len(transcripts)
    lengths = torch.tensor([len(classes) for classes in transcripts])
    flat = torch.tensor([c for classes in transcripts for c in classes], dtype=torch.long)
    losses = F.ctc_loss(
        log_probs[:, None].expand(-1, count, -1),
        flat.to(log_probs.device),
        torch.full((count,), len(log_probs)),
        lengths,
        blank=BLANK,
        reduction="none",
    )
    return [max(-loss, IMPOSSIBLE) for loss in losses.tolist()]
