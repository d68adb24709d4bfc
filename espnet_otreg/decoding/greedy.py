"""Greedy decoding that stops working on the utterances that are finished."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.prefix import Reader


@torch.inference_mode()
def greedy(prefix: Reader, stop_ids: Sequence[int], limits: Sequence[int]) -> list[Generated]:
    """The likeliest next token, again and again, until a stop token or the limit.

    The same tokens as Hugging Face's ``generate``; a batch gets smaller as its utterances end.

    Args:
        prefix: B prompts with speech, read by the LLM.
        stop_ids: tokens that end a hypothesis.
        limits: B numbers of tokens.
    """
    device = prefix.hidden.device
    found: list[list[int]] = [[] for _ in limits]
    ended = [False] * len(limits)
    active = list(range(len(limits)))
    reader = prefix.select(torch.arange(len(limits), device=device))
    while True:
        tokens = reader.llm.logits(reader.hidden).argmax(dim=-1)
        going = []
        for row, (b, token) in enumerate(zip(active, tokens.tolist(), strict=True)):
            ended[b] = token in stop_ids
            if not ended[b] and len(found[b]) < limits[b]:
                found[b].append(token)
                going.append(row)
        if not going:
            return [Generated(tuple(t), not e) for t, e in zip(found, ended, strict=True)]
        if len(going) < len(active):
            rows = torch.tensor(going, device=device)
            reader.keep(rows)
            tokens = tokens[rows]
            active = [active[row] for row in going]
        reader.read(tokens[:, None], torch.ones_like(tokens)[:, None])
