"""What decoding gives for an utterance."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Generated:
    """What a search has found.

    Attributes:
        token_ids: without the stop token.
        hit_limit: whether the length limit ended it.
        log_prob: natural logarithm of the probability of the tokens and EOS, if the search has
            come to know it; another batch may change its last digits.
    """

    token_ids: tuple[int, ...]
    hit_limit: bool
    log_prob: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Hypothesis:
    """One transcript.

    Attributes:
        text: detokenised, not normalised.
        score: natural logarithm of its probability under whatever made it.
        hit_limit: whether the length limit ended it.
    """

    text: str
    score: float
    hit_limit: bool = False


@dataclass(frozen=True)
class Candidate:
    """One transcript of joint decoding, scored by both readers and by the LLM alone.

    Attributes:
        text: detokenised, not normalised.
        tokens: its length in tokens of the LLM.
        ctc: natural logarithm of the sum over its CTC alignments.
        llm: natural logarithm of the LLM's probability of its tokens and the end.
        prior: the same without speech: what the LLM expects to be said at all.
        hit_limit: whether the length limit ended it.
    """

    text: str
    tokens: int
    ctc: float
    llm: float
    prior: float = 0.0
    hit_limit: bool = False
