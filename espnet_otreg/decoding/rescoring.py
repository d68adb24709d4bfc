"""Teacher-forced probabilities of given transcripts under the LLM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from espnet_otreg.decoding.prefix import Reader
from espnet_otreg.ot.costs import working_dtype
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
    flat = [(b, (*t, eos_id)) for b, several in enumerate(transcripts) for t in several]
    order = sorted(range(len(flat)), key=lambda n: len(flat[n][1]))
    scores = [0.0] * len(flat)
    for chunk in _chunks(order, [len(flat[n][1]) for n in order]):
        owners = torch.tensor([flat[n][0] for n in chunk], device=device)
        tokens = [torch.tensor(flat[n][1], device=device) for n in chunk]
        targets = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=-1)
        hidden = prefix.hidden[owners][:, None]
        if targets.size(1) > 1:
            # Behind a shorter transcript its end is read too, where nobody looks any more.
            read = targets[:, :-1]
            after = prefix.select(owners).read(read.clamp(min=0), read != -1)
            hidden = torch.cat([hidden, after], dim=1)
        real = targets != -1
        numbers, first = _states([flat[n] for n in chunk])
        outputs, states = hidden[real][first], torch.tensor(numbers, device=device)
        log_probs = _log_probs(prefix.llm, outputs, states, targets[real])
        sums = log_probs.new_zeros(len(chunk)).index_add(0, real.nonzero()[:, 0], log_probs)
        for n, score in zip(chunk, sums.tolist(), strict=True):
            scores[n] = score
    result = iter(scores)
    return [[next(result) for _ in several] for several in transcripts]


def _chunks(order: list[int], lengths: list[int]) -> list[list[int]]:
    """Cut ``order`` so that a chunk fits into the memory set aside for it."""
    chunks: list[list[int]] = []
    for n, length in zip(order, lengths, strict=True):  # lengths ascend
        if not chunks or (len(chunks[-1]) + 1) * length > _TOKENS_AT_ONCE:
            chunks.append([])
        chunks[-1].append(n)
    return chunks


def _states(rows: Sequence[tuple[int, tuple[int, ...]]]) -> tuple[list[int], list[int]]:
    """Number the states of the LLM: equal beginnings of one utterance's transcripts share one.

    Returns:
        The state in front of each token of all rows, and where each state comes first.
    """
    numbers: dict[tuple[int, tuple[int, ...]], int] = {}
    beginnings = [(owner, tokens[:t]) for owner, tokens in rows for t in range(len(tokens))]
    first = []
    for place, beginning in enumerate(beginnings):
        if beginning not in numbers:
            numbers[beginning] = len(numbers)
            first.append(place)
    return [numbers[beginning] for beginning in beginnings], first


def _log_probs(llm: LLM, hidden: Tensor, states: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities (N,) of targets (N,) behind states (N,), whose outputs are (M, D).

    The whole vocabulary is looked at once per state: n-best transcripts begin alike, and with
    some hundred thousand tokens that costs more than the LLM itself.
    """
    log_probs = hidden.new_empty(len(states), dtype=working_dtype(hidden))
    step = max(1, _LOGITS_AT_ONCE // llm.vocabulary_size)
    for start, outputs in zip(range(0, len(hidden), step), hidden.split(step), strict=True):
        logits = llm.logits(outputs)
        here = ((start <= states) & (states < start + step)).nonzero()[:, 0]
        rows = states[here] - start
        log_probs[here] = logits[rows, targets[here]] - logits.logsumexp(dim=-1)[rows]
    return log_probs
