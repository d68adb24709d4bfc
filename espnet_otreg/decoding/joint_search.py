"""Label-synchronous search: transcripts grow token by token under CTC and the LLM together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.decoding.beam import Finished
from espnet_otreg.decoding.branches import branches
from espnet_otreg.decoding.ctc_prefix import CTCPrefixes
from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.next_tokens import NextTokens
from espnet_otreg.decoding.state import LLMState
from espnet_otreg.decoding.tokens import UNKNOWN_TOKEN, TokenMaps


@dataclass(frozen=True)
class Heard:
    """What a batch of B utterances is searched with.

    Attributes:
        log_probs: (B, S, C) of the CTC read-out.
        lengths: (B,) frames.
        prefix: B prompts with speech, read by the LLM.
        silence: the same without speech, for the LLM's prior; None if its weight is 0.
        limits: B numbers of tokens.
    """

    log_probs: Tensor
    lengths: Tensor
    prefix: LLMState
    silence: LLMState | None
    limits: Sequence[int]


class JointSearch:
    """The likeliest transcripts of a batch under joint scores (Watanabe et al. 2017).

    A prefix h of a transcript has the score

        (1 - w) log p_ctc(h ...) + w log p_llm(h | speech) + v log p_llm(h | silence) + bonus |h|,

    where p_ctc(h ...) is the probability of all transcripts that begin with h. Where it ends, that
    of h alone takes its place, and the LLM's end is read. A token that CTC has no class for leaves
    CTC where it is and costs :data:`UNKNOWN_TOKEN`. After each token ``num_beams`` prefixes stay,
    and of these the ones at most ``margin`` behind the best of them and behind the best finished
    transcript. An utterance leaves the batch when none is left or none can come in any more; with
    a beam that holds every transcript and no margin the search is exact. Utterances do not
    depend on each other.

    Args:
        heard: the batch.
        maps: between classes and tokens.
        eos_id: the end that training has taught.
        weights: of the scores.
        num_beams: prefixes kept after each token, and transcripts returned.
        margin: natural logarithms.
    """

    def __init__(
        self,
        heard: Heard,
        maps: TokenMaps,
        eos_id: int,
        weights: JointWeights,
        num_beams: int,
        margin: float,
    ) -> None:
        device = heard.log_probs.device
        self._maps, self._weights = maps, weights
        self._beams, self._margin = num_beams, margin
        self._next = NextTokens(maps, eos_id, 2 * num_beams)
        self._ctc = CTCPrefixes(heard.log_probs, heard.lengths)
        rows = list(range(len(heard.limits)))
        columns = num_beams * max(heard.limits)
        self._llm_beams = branches(heard.prefix, columns)
        self._silent_beams = None if heard.silence is None else branches(heard.silence, columns)
        self._finished = [Finished(num_beams) for _ in rows]
        self._active = torch.tensor(rows, device=device)
        self._limits = torch.tensor(heard.limits, device=device)
        zeros = torch.zeros(len(rows), 1, dtype=torch.float64, device=device)
        self._live = zeros == 0  # (B, W) the prefixes that the LLM has read, row by row
        self._unknown, self._begun, self._llm, self._prior = (zeros,) * 4
        self._said = torch.zeros(len(rows), 1, 0, dtype=torch.long, device=device)

    @torch.inference_mode()
    def run(self) -> list[list[Generated]]:
        """For each utterance up to ``num_beams`` transcripts, best first."""
        while len(self._active):
            self._step()
        return [[generated for _, generated in several.rows] for several in self._finished]

    def _step(self) -> None:
        """One more token for every utterance in the batch."""
        found = self._next.of(self._llm_beams, self._silent_beams, self._live)
        ctc = self._extended_by_ctc(found.ids)
        llm = self._llm[..., None] + found.llm
        prior = self._prior[..., None] + found.prior
        length = self._said.size(2)
        totals = self._weights.combine(ctc, llm, prior, length + 1)
        totals.masked_fill_(~self._live[..., None] | ~ctc.isfinite() | ~llm.isfinite(), -torch.inf)
        at_limit = self._limits[self._active] <= length
        self._finish(found.end, found.prior_end, totals.amax(dim=-1), at_limit)
        totals[at_limit] = -torch.inf
        width = min(self._beams, totals[0].numel())
        best = totals.flatten(1).topk(width, dim=1)
        live = self._worth_keeping(best.values)
        going = live.any(dim=1).nonzero()[:, 0]
        self._active = self._active[going]
        if len(going):
            self._go_on(going, live[going], best.indices[going], found.ids, (ctc, llm, prior))

    def _extended_by_ctc(self, ids: Tensor) -> Tensor:
        """(B, W, K) log-probabilities of the prefixes with each of the tokens ``ids``."""
        known = self._ctc.extensions()[..., 1:] + self._unknown[..., None]
        strange = (self._begun + UNKNOWN_TOKEN)[..., None]
        others = ids.size(-1) - known.size(-1)
        return torch.cat([known, strange.expand(-1, -1, others)], dim=-1)

    def _finish(self, end: Tensor, prior_end: Tensor, going_on: Tensor, at_limit: Tensor) -> None:
        """Every prefix may end here."""
        ctc = self._ctc.ends() + self._unknown
        scores = self._weights.combine(
            ctc, self._llm + end, self._prior + prior_end, self._said.size(2)
        )
        possible = self._live & ctc.isfinite()
        cut = (at_limit[:, None] & (going_on > scores)).tolist()
        rows = scores.masked_fill(~possible, -torch.inf).tolist()
        for row, b in enumerate(self._active.tolist()):
            for beam, score in enumerate(rows[row]):
                if score > -torch.inf and not self._finished[b].beats(score):
                    tokens = tuple(self._said[row, beam].tolist())
                    self._finished[b].add(score, Generated(tokens, cut[row][beam]))

    def _worth_keeping(self, scores: Tensor) -> Tensor:
        """(B, W) booleans of the extended prefixes with these scores, best first."""
        finished = [self._finished[b].rows for b in self._active.tolist()]
        none = -torch.inf
        best = scores.new_tensor([rows[0][0] if rows else none for rows in finished])
        full = [len(rows) == self._beams for rows in finished]
        worst = scores.new_tensor(
            [rows[-1][0] if f else none for rows, f in zip(finished, full, strict=True)]
        )
        live = scores > torch.maximum(best, scores[:, 0])[:, None] - self._margin
        live &= scores > none
        if self._weights.prior_weight >= 0:  # else what follows may add to a score
            left = (self._limits[self._active] - self._said.size(2) - 1).clamp(min=0)
            gain = max(self._weights.length_bonus, 0.0) * left
            live &= scores + gain[:, None] > worst[:, None]
        return live

    def _go_on(
        self, going: Tensor, live: Tensor, chosen: Tensor, ids: Tensor, sums: tuple[Tensor, ...]
    ) -> None:
        """Read the chosen tokens: ``chosen`` (B', W') counts the K tokens of all W prefixes."""
        count = ids.size(-1)
        parents, columns = chosen // count, chosen % count
        rows = going[:, None]
        tokens = ids[rows, parents, columns]
        classes = self._maps.readout.class_of[tokens]
        self._ctc.extend(going, parents, classes)
        self._unknown = self._unknown[rows, parents] + UNKNOWN_TOKEN * (classes < 1)
        self._begun, self._llm, self._prior = (values[rows, parents, columns] for values in sums)
        self._said = torch.cat([self._said[rows, parents], tokens[..., None]], dim=2)
        self._live = live
        for beams in (self._llm_beams, self._silent_beams):
            if beams is not None:
                beams.go_on(going, parents, tokens, live)
