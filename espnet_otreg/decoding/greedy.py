"""Greedy decoding whose batch is filled up again as utterances end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch

from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.state import LLMState


@torch.inference_mode()
def greedy(
    prefixes: Sequence[LLMState],
    stop_ids: Sequence[int],
    eos_id: int,
    limits: Sequence[int],
    at_once: int,
) -> list[Generated]:
    """The likeliest next token, again and again, until a stop token or the limit.

    The same tokens as Hugging Face's ``generate``. A few long hypotheses would leave a batch
    nearly empty for most of its steps, so the places of ended utterances go to the next prefix.

    Args:
        prefixes: prompts with speech, read by the LLM; N rows in all.
        stop_ids: tokens that end a hypothesis.
        eos_id: the end that training has taught.
        limits: N numbers of tokens.
        at_once: rows that the LLM goes on with together; a prefix with more comes alone.

    Returns:
        N hypotheses with the log-probability of their tokens and EOS,
        sum over t of log p(token t | prompt, speech, tokens before t).
    """
    waiting = deque(prefixes)
    found: list[list[int]] = [[] for _ in limits]
    ended = [False] * len(limits)
    scores = [0.0] * len(limits)
    active: list[int] = []
    begun = 0
    state = prefixes[0]
    while waiting or active:
        while waiting and (
            not active or (len(active) + len(waiting[0]) <= at_once and state.can_join)
        ):
            new = waiting.popleft()
            if active:
                state.join(new)
            else:
                state = new.fork()  # the prefixes stay as they are
            active += range(begun, begun + len(new))
            begun += len(new)
        logits = state.logits()
        best = logits.max(dim=-1)
        total = logits.logsumexp(dim=-1)
        said, end = (best.values - total).tolist(), (logits[:, eos_id] - total).tolist()
        going, following = [], []
        for row, (b, token) in enumerate(zip(active, best.indices.tolist(), strict=True)):
            ended[b] = token in stop_ids
            if ended[b] or len(found[b]) == limits[b]:
                scores[b] += end[row]
            else:
                scores[b] += said[row]
                found[b].append(token)
                going.append(row)
                following.append(token)
        if going and len(going) < len(active):
            state.keep(going)
        active = [active[row] for row in going]
        if active:
            state.read(torch.tensor(following, device=logits.device)[:, None])
    return [
        Generated(tuple(tokens), not has_ended, score)
        for tokens, has_ended, score in zip(found, ended, scores, strict=True)
    ]
