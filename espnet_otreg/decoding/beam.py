"""Beam search with the LLM that stops working on the utterances that are finished."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.state import LLMState


class Finished:
    """The best finished hypotheses of one utterance.

    Args:
        size: how many are kept.

    Attributes:
        rows: scores and hypotheses, best first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: list[tuple[float, Generated]] = []

    def add(self, score: float, generated: Generated) -> None:
        """One more; the worst may have to go."""
        self.rows = sorted([*self.rows, (score, generated)], key=lambda row: -row[0])[: self.size]

    def beats(self, score: float) -> bool:
        """Whether nothing that begins with this score gets in: longer is never likelier."""
        return len(self.rows) == self.size and self.rows[-1][0] >= score


def _next_log_probs(state: LLMState, stops: Tensor, at_limit: Tensor) -> tuple[Tensor, list[bool]]:
    """(R, V) log-probabilities of the next token; the first stop token stands for all of them.

    Rows ``at_limit`` (R,) can only end. The second result says which rows would rather go on.
    """
    log_probs = state.logits().log_softmax(dim=-1)
    end = log_probs[:, stops].logsumexp(dim=1)
    log_probs[:, stops] = -torch.inf
    goes_on = (log_probs.max(dim=1).values > end).tolist()
    log_probs[at_limit] = -torch.inf
    log_probs[:, stops[0]] = end
    return log_probs, goes_on


@torch.inference_mode()
def beam_search(
    prefix: LLMState, stop_ids: Sequence[int], limits: Sequence[int], num_beams: int
) -> list[list[Generated]]:
    """The likeliest hypotheses of a batch: beams compete by the probability of tokens and end.

    log p(y, end) = sum_t log p(y_t | y_<t) + log p(end | y), without any reward for length. As in
    Hugging Face's ``generate``, an end counts if it is among the ``num_beams`` likeliest
    continuations, and the search goes on until no beam can enter the n-best. An utterance at its
    limit has to end there, so the search is exact where the beam holds every sequence. Utterances
    do not depend on each other, and a batch gets smaller as they end.

    Args:
        prefix: B prompts with speech, read by the LLM.
        stop_ids: tokens that end a hypothesis.
        limits: B numbers of tokens.
        num_beams: hypotheses kept after each token.

    Returns:
        For each utterance up to ``num_beams`` hypotheses, best first.
    """
    device = prefix.hidden.device
    stops = torch.tensor(stop_ids, device=device)
    finished = [Finished(num_beams) for _ in limits]
    active = torch.arange(len(limits), device=device)
    limit_of = torch.tensor(limits, device=device)
    state = prefix.select(active.repeat_interleave(num_beams).tolist())
    said = active.new_empty(len(limits) * num_beams, 0)
    scores = torch.full((len(limits), num_beams), -torch.inf, device=device)
    scores[:, 0] = 0.0  # before the first token all beams are the same
    while True:
        at_limit = limit_of[active] == said.size(1)
        log_probs, goes_on = _next_log_probs(state, stops, at_limit.repeat_interleave(num_beams))
        totals = (scores[..., None] + log_probs.view(*scores.shape, -1)).flatten(1)
        # Of twice as many as there are beams half do not end: each beam ends in one way.
        best = totals.topk(2 * num_beams, dim=1)
        beams, tokens = best.indices // log_probs.size(1), best.indices % log_probs.size(1)
        ends = tokens == stops[0]
        counts = ends & (best.values > -torch.inf)
        for row, rank in counts[:, :num_beams].nonzero().tolist():
            place = row * num_beams + int(beams[row, rank])
            generated = Generated(
                tuple(said[place].tolist()), bool(at_limit[row]) and goes_on[place]
            )
            finished[int(active[row])].add(float(best.values[row, rank]), generated)
        scores, chosen = best.values.masked_fill(ends, -torch.inf).topk(num_beams, dim=1)
        going = [
            row
            for row, (b, score) in enumerate(
                zip(active.tolist(), scores[:, 0].tolist(), strict=True)
            )
            if score > -torch.inf and not finished[b].beats(score)
        ]
        if not going:
            return [[generated for _, generated in several.rows] for several in finished]
        rows = torch.tensor(going, device=device)
        active, scores, chosen = active[rows], scores[rows], chosen[rows]
        places = (rows[:, None] * num_beams + beams[rows].gather(1, chosen)).flatten()
        following = tokens[rows].gather(1, chosen).view(-1, 1)
        said = torch.cat([said[places], following], dim=1)
        state.keep(places.tolist())
        state.read(following)
