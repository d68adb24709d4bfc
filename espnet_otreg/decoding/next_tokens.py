"""What the LLM may say next, as far as a joint search considers it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.decoding.branches import OwnRows, SharedRows
from espnet_otreg.decoding.tokens import TokenMaps

Beams = OwnRows | SharedRows
_LOGITS_AT_ONCE = 1 << 25  # fp32 numbers, 128 MiB


@dataclass(frozen=True)
class Following:
    """Log-probabilities of what may follow (B, W) prefixes.

    Attributes:
        ids: (B, W, K) tokens: those that CTC has a class for, in the order of classes, then the
            likeliest others of each prefix.
        llm, prior: (B, W, K) with speech and without.
        end, prior_end: (B, W) of the end.
    """

    ids: Tensor
    llm: Tensor
    end: Tensor
    prior: Tensor
    prior_end: Tensor


class NextTokens:
    """Looks at an LLM's whole vocabulary, and keeps little of it.

    Args:
        maps: between classes and tokens.
        eos_id: the end that training has taught.
        others: tokens without a class that are kept of each prefix.
    """

    def __init__(self, maps: TokenMaps, eos_id: int, others: int) -> None:
        self._wanted = torch.cat(
            [maps.readout.class_ids[1:], maps.readout.class_ids.new_tensor([eos_id])]
        )
        self._hidden = ~maps.without_class
        self._others = min(others, int(maps.without_class.sum()))

    def of(self, beams: Beams, silent: Beams | None, live: Tensor) -> Following:
        """What may follow.

        Args:
            beams: the prefixes that are alive, behind prompt and speech.
            silent: the same behind prompts without speech; None where nobody asks for the prior.
            live: (B, W) which prefixes these are; the others get -inf.
        """
        known, others, ids = self._read(beams)
        prior = known.new_zeros(len(known), known.size(1) + self._others)
        if silent is not None:
            first, second, _ = self._read(silent, ids)
            prior = torch.cat([first, second], dim=1)
        rows = torch.cat([known, others], dim=1)
        spoken, before = self._spread(rows, live), self._spread(prior, live)
        end = self._wanted.numel() - 1
        tokens = torch.cat([self._wanted[:-1].expand(len(ids), -1), ids], dim=1)
        spread = torch.zeros(*live.shape, tokens.size(1), dtype=tokens.dtype, device=live.device)
        spread[live] = tokens
        keep = [n for n in range(rows.size(1)) if n != end]
        return Following(
            spread, spoken[..., keep], spoken[..., end], before[..., keep], before[..., end]
        )

    def _spread(self, rows: Tensor, live: Tensor) -> Tensor:
        found = rows.new_full((*live.shape, rows.size(1)), -torch.inf, dtype=torch.float64)
        found[live] = rows.double()
        return found

    def _read(self, beams: Beams, ids: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(R, K) of the wanted tokens, (R, O) of others and which these are: ``ids``, if given."""
        found = []
        step = max(1, _LOGITS_AT_ONCE // beams.llm.vocabulary_size)
        for start in range(0, len(beams.hidden), step):
            log_probs = beams.llm.logits(beams.hidden[start : start + step]).log_softmax(dim=-1)
            known = log_probs[:, self._wanted]
            if ids is None:
                best = log_probs.masked_fill_(self._hidden, -torch.inf).topk(self._others, dim=1)
                found.append((known, best.values, best.indices))
            else:
                some = ids[start : start + step]
                found.append((known, log_probs.gather(1, some), some))
        known, others, which = (torch.cat(parts) for parts in zip(*found, strict=True))
        return known, others, which
