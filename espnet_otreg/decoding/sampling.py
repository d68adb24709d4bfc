"""Samples of the LLM (Hugging Face's generate)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.llm import LLM


class LengthLimits(StoppingCriteria):
    """Ends every utterance at its own number of tokens.

    Args:
        limits: (B,) one for each utterance, whose hypotheses stand one below the other.
    """

    def __init__(self, limits: Tensor) -> None:
        self.limits = limits

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(R,) booleans; with ``inputs_embeds`` the ids hold the generated tokens only."""
        rows = self.limits.repeat_interleave(len(input_ids) // len(self.limits))
        reached: Tensor = input_ids.shape[1] >= rows
        return reached


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


@contextlib.contextmanager
def _within_positions(llm: LLM) -> Iterator[None]:
    """Keep generate() within the LLM's positions: it goes on with rows that have ended."""

    def clamp(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        positions = kwargs.get("position_ids")
        if positions is not None and llm.max_positions is not None:
            kwargs["position_ids"] = positions.clamp(max=llm.max_positions - 1)
        return args, kwargs

    handle = llm.model.get_decoder().register_forward_pre_hook(clamp, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@torch.inference_mode()
def sample(
    llm: LLM,
    inputs: LLMInput,
    stop_ids: Sequence[int],
    limits: Sequence[int],
    num_samples: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[list[Generated]]:
    """Hypotheses of a batch, drawn from the LLM's distribution.

    Args:
        llm: the LLM; the sampling settings that it was published with are ignored.
        inputs: padded on the left.
        stop_ids: tokens that end a hypothesis.
        limits: B numbers of tokens.
        num_samples: hypotheses of each utterance.
        temperature: divides the logits.
        seed: of the random numbers.

    Returns:
        For each utterance its hypotheses as drawn.
    """
    device, dtype = inputs.inputs_embeds.device, llm.model.get_input_embeddings().weight.dtype
    ends = torch.tensor(limits, device=device) + 1
    config = GenerationConfig(
        max_new_tokens=max(limits) + 1,  # one more for the stop token
        do_sample=True,
        num_return_sequences=num_samples,
        temperature=temperature,
        eos_token_id=list(stop_ids),
        pad_token_id=llm.anchor_id,
    )
    # generate() fills gaps of its argument with the LLM's published settings (repetition
    # penalty, top-k, ...), which would draw from something other than its distribution.
    published, llm.model.generation_config = llm.model.generation_config, GenerationConfig()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), _within_positions(llm):
            torch.manual_seed(seed)
            sequences = llm.model.generate(
                inputs_embeds=inputs.inputs_embeds.to(dtype),
                attention_mask=inputs.attention_mask,
                position_ids=inputs.position_ids,  # generate() counts on from the last one
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([LengthLimits(ends)]),
            ).tolist()
    finally:
        llm.model.generation_config = published
    return [
        [cut(row, stop_ids, limit) for row in sequences[n * num_samples : (n + 1) * num_samples]]
        for n, limit in enumerate(limits)
    ]
