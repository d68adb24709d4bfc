"""Teacher-forced probabilities of given transcripts under the LLM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from espnet_otreg.decoding.prefix import Reader
from espnet_otreg.slm.llm import LLM

_LOGITS_AT_ONCE = 1 << 25  # fp32 numbers, 128 MiB
_TOKENS_AT_ONCE = 4096


@torch.inference_mode()
def transcript_log_probs(
    prefix: Reader, transcripts: Sequence[Sequence[Sequence[int]]], eos_id: int
) -> list[list[float]]:
    """Log-probabilities of several transcripts per utterance, each with its end.

    sum over t of log p(token t | prompt, speech, tokens before t), EOS included.

    Args:
        prefix: B prompts with speech, read by the LLM.
        transcripts: for each utterance a list of token id lists, without EOS.
        eos_id: the end that training has taught.

    Returns:
        For each utterance one number per transcript, natural logarithms.
    """
    device = prefix.hidden.device
    flat = [(b, [*t, eos_id]) for b, several in enumerate(transcripts) for t in several]
    order = sorted(range(len(flat)), key=lambda n: len(flat[n][1]))
    scores = [0.0] * len(flat)
    for chunk in _chunks(order, [len(flat[n][1]) for n in order], prefix.llm.vocabulary_size):
        owners = torch.tensor([flat[n][0] for n in chunk], device=device)
        tokens = [torch.tensor(flat[n][1], device=device) for n in chunk]
        targets = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=-1)
        hidden = prefix.hidden[owners][:, None]
        if targets.size(1) > 1:
            # Behind a shorter transcript its end is read too, where nobody looks any more.
            read = targets[:, :-1]
            after = prefix.select(owners).read(read.clamp(min=0), read != -1)
            hidden = torch.cat([hidden, after], dim=1)
        for n, score in zip(chunk, _sums(prefix.llm, hidden, targets).tolist(), strict=True):
            scores[n] = score
    result = iter(scores)
    return [[next(result) for _ in several] for several in transcripts]


def _chunks(order: list[int], lengths: list[int], vocabulary: int) -> list[list[int]]:
    """Cut ``order`` so that a chunk fits into the memory set aside for it."""
    most = min(_TOKENS_AT_ONCE, _LOGITS_AT_ONCE // vocabulary)
    chunks: list[list[int]] = []
    for n, length in zip(order, lengths, strict=True):  # lengths ascend
        if not chunks or (len(chunks[-1]) + 1) * length > most:
            chunks.append([])
        chunks[-1].append(n)
    return chunks


def _sums(llm: LLM, hidden: Tensor, targets: Tensor) -> Tensor:
    """(R, T, D) states and (R, T) targets, -1 on padding, to (R,) sums of log-probabilities."""
    real = targets != -1
    log_probs = llm.logits(hidden[real]).log_softmax(dim=-1)
    picked = log_probs.gather(1, targets[real][:, None])[:, 0]
    sums = torch.zeros(len(targets), dtype=picked.dtype, device=targets.device)
    return sums.index_add(0, real.nonzero()[:, 0], picked)
