"""How many tokens an utterance may get, so that a loop ends within the LLM's positions."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from espnet_otreg.errors import UserError

if TYPE_CHECKING:
    from espnet_otreg.decoding.state import LLMState


def token_limits(
    seconds: Sequence[float], tokens_per_second: float, extra_tokens: int
) -> list[int]:
    """The most tokens that utterances of these durations may get.

    Raises:
        UserError: if a duration is not finite or negative.

    >>> token_limits([0.0, 1.25], tokens_per_second=12, extra_tokens=10)
    [10, 25]
    """
    for duration in seconds:
        if not 0 <= duration < math.inf:
            raise UserError(f"a duration of {duration} s", mend="give 0 or more seconds")
    return [int(tokens_per_second * s) + extra_tokens for s in seconds]


def fitting(prefix: LLMState, limits: Sequence[int], names: Sequence[str]) -> list[int]:
    """Length limits that the LLM has positions for; one that is cut is a word in the log.

    Args:
        prefix: B prompts with speech, read by the LLM.
        limits: B numbers of tokens.
        names: of the utterances, for messages.

    Raises:
        UserError: if there is no position left for any token.
    """
    rooms = prefix.rooms()
    if rooms is None:
        return list(limits)
    for number, (room, limit) in enumerate(zip(rooms, limits, strict=True)):
        name = names[number] if names else f"number {number}"
        if room < 1:
            raise UserError(
                f"prompt and speech take all {prefix.llm.max_positions} positions of the LLM",
                f"utterance {name}",
                "cut or remove it",
            )
        if room < limit:
            logging.warning(
                "utterance %s: at most %d tokens instead of %d, because the LLM has %d positions",
                name, room, limit, prefix.llm.max_positions,
            )  # fmt: skip
    return [min(both) for both in zip(rooms, limits, strict=True)]
