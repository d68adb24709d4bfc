"""How likely CTC finds it that a transcript begins in a certain way: prefix probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from espnet_otreg.decoding.ctc import BLANK

_NEVER = -1e4  # log-probability on padding; finite, so that sums of it can be subtracted again


class CTCPrefixes:
    """(B, W) prefixes with their forward variables (Watanabe et al. 2017, algorithm 2).

    For a prefix h of classes, with n_t(h) and b_t(h) the probabilities that frames 1 to t spell h
    and end in its last class or in a blank,

        p(h c ...) = sum over t of phi_{t-1} p_t(c),  phi_t = n_t(h) + b_t(h), or b_t(h) alone
                     where c repeats the last class of h,
        n_t(h c)   = (n_{t-1}(h c) + phi_{t-1}) p_t(c),
        b_t(h c)   = (b_{t-1}(h c) + n_{t-1}(h c)) p_t(blank).

    The first is one matrix product for all classes. The others are linear recurrences, solved for
    all frames at once: x_t = a_t (x_{t-1} + u_t) has x_t / A_t = sum over s <= t of u_s / A_{s-1}
    with A_t = a_1 ... a_t; logarithms in float64 keep its digits. Nothing is cut off.

    Args:
        log_probs: (B, S, C), class 0 is the blank.
        lengths: (B,) frames; behind them stands padding.

    Attributes:
        last: (B, W) last class of each prefix, 0 of the empty one.

    >>> log_probs = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    >>> prefixes = CTCPrefixes(log_probs, torch.tensor([2]))
    >>> prefixes.extensions().exp().round(decimals=2).tolist()
    [[[0.0, 0.64]]]
    >>> round(float(prefixes.ends().exp()), 2)
    0.36
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor) -> None:
        frames = torch.arange(log_probs.size(1), device=log_probs.device)
        padding = (frames >= lengths[:, None])[..., None]
        # Padding is blank for sure, so that the last frame says what the last real one does.
        self._log_probs = log_probs.double().masked_fill(padding, _NEVER)
        self._log_probs[..., BLANK].masked_fill_(padding[..., 0], 0.0)
        self._probs = self._log_probs.exp()
        blank = self._log_probs[:, None, :, BLANK].cumsum(dim=-1)
        self._spoken, self._blank = torch.full_like(blank, -torch.inf), blank
        self.last = torch.zeros(blank.shape[:2], dtype=torch.long, device=blank.device)

    def _before(self) -> tuple[Tensor, Tensor]:
        """(B, W, S) phi of the frame before each one: for another class, and for a repetition."""
        either, blank = (
            pad(x[..., :-1], (1, 0), value=-torch.inf)
            for x in (torch.logaddexp(self._spoken, self._blank), self._blank)
        )
        empty = (self.last == BLANK).double().log()  # before the first frame: only of nothing
        either[..., 0], blank[..., 0] = empty, empty
        return either, blank

    def extensions(self) -> Tensor:
        """(B, W, C) log-probabilities that a transcript begins with a prefix and one more class;
        -inf for the blank."""
        either, blank = self._before()
        peak = either.amax(dim=-1, keepdim=True).clamp(min=_NEVER)
        found = ((either - peak).exp() @ self._probs).log() + peak
        classes = self.last[..., None, None].expand(-1, -1, either.size(-1), 1)
        probs = self._log_probs[:, None].expand(-1, self.last.size(1), -1, -1)
        again = (blank + probs.gather(3, classes)[..., 0]).logsumexp(dim=-1)
        found.scatter_(2, self.last[..., None], again[..., None])
        found[..., BLANK] = -torch.inf
        return found

    def ends(self) -> Tensor:
        """(B, W) log-probabilities of the prefixes as whole transcripts."""
        return torch.logaddexp(self._spoken[..., -1], self._blank[..., -1])

    def extend(self, utterances: Tensor, prefixes: Tensor, classes: Tensor) -> None:
        """Go on with some prefixes of some utterances, each with one more class.

        Args:
            utterances: (B',) numbers.
            prefixes: (B', W') numbers of prefixes of these utterances.
            classes: (B', W') what is added; 0 or less adds nothing.
        """
        if len(utterances) < len(self._probs):
            self._log_probs, self._probs = self._log_probs[utterances], self._probs[utterances]
        rows = utterances[:, None]
        either, blank = (x[rows, prefixes] for x in self._before())
        last = self.last[rows, prefixes]
        spoken_before, blank_before = (x[rows, prefixes] for x in (self._spoken, self._blank))
        source = torch.where((classes == last)[..., None], blank, either)
        own = self._log_probs.gather(
            2, classes.clamp(min=0)[:, None, :].expand(-1, self._probs.size(1), -1)
        ).mT
        spoken = _recurrence(own, source)
        delayed = pad(spoken[..., :-1], (1, 0), value=-torch.inf)
        ended = _recurrence(self._log_probs[:, None, :, BLANK].expand_as(own), delayed)
        same = classes <= BLANK
        self._spoken = torch.where(same[..., None], spoken_before, spoken)
        self._blank = torch.where(same[..., None], blank_before, ended)
        self.last = torch.where(same, last, classes)


def _recurrence(log_factors: Tensor, log_inputs: Tensor) -> Tensor:
    """log x_t with x_t = a_t (x_{t-1} + u_t) and x_0 = 0, along the last dimension."""
    total = log_factors.cumsum(dim=-1)
    return total + (log_inputs - pad(total[..., :-1], (1, 0))).logcumsumexp(dim=-1)
