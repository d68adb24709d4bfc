"""Teacher-forced probabilities of given transcripts under the LLM."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor

from espnet_otreg.decoding.state import LLMState
from espnet_otreg.decoding.tree import TokenTree
from espnet_otreg.precision import working_dtype
from espnet_otreg.slm.llm import LLM

_LOGITS_AT_ONCE = 1 << 25  # fp32 numbers, 128 MiB
_TOKENS_AT_ONCE = 4096


@torch.inference_mode()
def transcript_log_probs(
    prefix: LLMState, transcripts: Sequence[Sequence[Sequence[int]]], eos_id: int
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
    together = prefix.can_branch
    groups = [  # the transcripts of a tree, with the row that they stand behind
        (b, group)
        for b, several in enumerate(transcripts)
        for group in ([several] if together else [[t] for t in several])
        if group
    ]
    trees = [TokenTree(group) for _, group in groups]
    scores: list[list[float]] = [[] for _ in groups]
    order = sorted(range(len(groups)), key=lambda n: len(trees[n].tokens))
    for chunk in _chunks(order, [1 + len(trees[n].tokens) for n in order]):
        owners = prefix.select([groups[n][0] for n in chunk])
        outputs = owners.read_trees([trees[n] for n in chunk])
        states, targets, lengths, begun = [], [], [], 0
        for n, states_of_tree in zip(chunk, outputs, strict=True):
            for path, transcript in zip(trees[n].paths, groups[n][1], strict=True):
                states += [begun + node for node in path]
                targets += [*transcript, eos_id]
                lengths.append(len(path))
            begun += len(states_of_tree)
        log_probs = _log_probs(prefix.llm, torch.cat(outputs), states, targets)
        sums = iter(torch.stack([part.sum() for part in log_probs.split(lengths)]).tolist())
        for n in chunk:
            scores[n] = list(islice(sums, len(groups[n][1])))
    result: list[list[float]] = [[] for _ in transcripts]
    for (b, _), found in zip(groups, scores, strict=True):
        result[b] += found
    return result


def _chunks(order: list[int], sizes: list[int]) -> list[list[int]]:
    """Cut ``order`` so that a chunk fits into the memory set aside for it."""
    chunks: list[list[int]] = []
    for n, size in zip(order, sizes, strict=True):  # sizes ascend
        if not chunks or (len(chunks[-1]) + 1) * size > _TOKENS_AT_ONCE:
            chunks.append([])
        chunks[-1].append(n)
    return chunks


def _log_probs(llm: LLM, outputs: Tensor, states: Sequence[int], targets: Sequence[int]) -> Tensor:
    """Log-probabilities (N,) of N targets, each behind one of M states, whose outputs are (M, D).

    The whole vocabulary is looked at once per state: n-best transcripts begin alike, and with
    some hundred thousand tokens that costs more than the LLM itself.
    """
    behind = torch.tensor(states, device=outputs.device)
    wanted = torch.tensor(targets, device=outputs.device)
    log_probs = outputs.new_empty(len(states), dtype=working_dtype(outputs))
    step = max(1, _LOGITS_AT_ONCE // llm.vocabulary_size)
    for start, some in zip(range(0, len(outputs), step), outputs.split(step), strict=True):
        logits = llm.logits(some)
        here = ((start <= behind) & (behind < start + step)).nonzero()[:, 0]
        rows = behind[here] - start
        log_probs[here] = logits[rows, wanted[here]] - logits.logsumexp(dim=-1)[rows]
    return log_probs
