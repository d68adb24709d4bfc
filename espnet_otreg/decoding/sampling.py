"""Samples of the LLM, drawn from its own distribution."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.state import LLMState


def cut(token_ids: Sequence[int], stop_ids: Sequence[int], limit: int) -> Generated:
    """What stands before the first stop token, at most ``limit`` tokens.

    >>> cut([5, 6, 2, 0], stop_ids=[2], limit=9)
    Generated(token_ids=(5, 6), hit_limit=False, log_prob=None)
    >>> cut([5, 6, 7], stop_ids=[2], limit=2)
    Generated(token_ids=(5, 6), hit_limit=True, log_prob=None)
    """
    kept: list[int] = []
    for token in token_ids[:limit]:
        if token in stop_ids:
            return Generated(tuple(kept), False)
        kept.append(token)
    # Exactly at the limit the stop token may still stand behind it.
    ended = len(token_ids) > limit and token_ids[limit] in stop_ids
    return Generated(tuple(kept), not ended)


@torch.inference_mode()
def sample(
    prefix: LLMState,
    stop_ids: Sequence[int],
    limits: Sequence[int],
    num_samples: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[list[Generated]]:
    """Hypotheses of a batch, drawn from the LLM's distribution over its whole vocabulary.

    The settings that the LLM was published with (repetition penalty, top-k, ...) would draw from
    another one and are ignored.

    Args:
        prefix: B prompts with speech, read by the LLM.
        stop_ids: tokens that end a hypothesis.
        limits: B numbers of tokens.
        num_samples: hypotheses of each utterance.
        temperature: divides the logits.
        seed: of the random numbers; nobody else's are used.

    Returns:
        For each utterance its hypotheses as drawn.
    """
    device = prefix.hidden.device
    generator = torch.Generator(device).manual_seed(seed)
    owners = [b for b in range(len(limits)) for _ in range(num_samples)]
    said: list[list[int]] = [[] for _ in owners]
    state, active = prefix.select(owners), list(range(len(owners)))
    while active:
        logits = state.logits() / temperature
        # Rows that have ended still take their random numbers, so that the others' do not depend
        # on them.
        probs = logits.new_ones(len(owners), logits.size(1))
        probs[active] = logits.softmax(dim=-1)
        drawn = torch.multinomial(probs, 1, generator=generator)[:, 0].tolist()
        going = []
        for place, row in enumerate(active):
            said[row].append(drawn[row])
            # One more than the limit: a stop token may stand behind it.
            if drawn[row] not in stop_ids and len(said[row]) <= limits[owners[row]]:
                going.append(place)
        if going and len(going) < len(active):
            state.keep(going)
        active = [active[place] for place in going]
        if active:
            state.read(torch.tensor([[said[row][-1]] for row in active], device=device))
    found: list[list[Generated]] = [[] for _ in limits]
    for b, tokens in zip(owners, said, strict=True):
        found[b].append(cut(tokens, stop_ids, limits[b]))
    return found
