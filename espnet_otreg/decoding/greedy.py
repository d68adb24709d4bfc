"""Greedy decoding whose batch is filled up again as utterances end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch

from espnet_otreg.decoding.cache import can_join
from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.prefix import Reader


@torch.inference_mode()
def greedy(
    prefixes: Sequence[Reader],
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
    reader = prefixes[0]
    while waiting or active:
        while waiting and (
            not active
            or (len(active) + len(waiting[0].hidden) <= at_once and can_join(reader.cache))
        ):
            new = waiting.popleft()
            rows = torch.arange(len(new.hidden), device=new.hidden.device)
            if active:
                reader.join(new)
            else:
                reader = new.select(rows)  # the prefixes stay as they are
            active += range(begun, begun + len(rows))
            begun += len(rows)
        logits = reader.llm.logits(reader.hidden)
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
            reader.keep(torch.tensor(going, device=logits.device))
        active = [active[row] for row in going]
        if active:
            tokens = torch.tensor(following, device=logits.device)[:, None]
            reader.read(tokens, torch.ones_like(tokens))
    return [
        Generated(tuple(tokens), not has_ended, score)
        for tokens, has_ended, score in zip(found, ended, scores, strict=True)
    ]
