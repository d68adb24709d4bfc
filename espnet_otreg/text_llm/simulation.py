"""Token posteriors as a CTC projector would give them for speech, simulated from text.

What the LLM reads after compression is one embedding for each run of frames with the same best
token: the mean of the table's rows under the posterior. Recognition errors show there as a likely
wrong token beside a less likely right one, as tokens that are missing, or whose run fell apart in
two, and they come in bursts, where speech was hard to hear.
"""

from __future__ import annotations

import random
from bisect import bisect
from typing import Any

from espnet_otreg.text_llm.confusions import nearest_pieces

# One position of a source: tokens and their shares, the likeliest first.
Position = tuple[tuple[int, float], ...]

_NEAREST = 12
_ANY_PIECE = 0.12  # share of confusions that nothing explains
# How speech turns from well to badly heard and back, from one token to the next; a third of the
# tokens lie in bad stretches, where errors are three times as frequent.
_TURNS_BAD, _STAYS_BAD = 0.175, 0.65
_WELL, _BADLY, _MOST = 0.6, 1.9, 0.85
# Kinds of errors, cumulated: another token, none, one that falls apart, one too many.
_SUBSTITUTION, _DELETION, _DOUBLING = 0.62, 0.78, 0.90


class ReadoutSimulator:
    """Makes posteriors of texts.

    Args:
        pieces: the SentencePiece processor.
        rng: the only source of randomness.
    """

    def __init__(self, pieces: Any, rng: random.Random) -> None:
        self.rng = rng
        self.ids = [
            i for i in range(len(pieces)) if not pieces.is_control(i) and not pieces.is_unknown(i)
        ]
        near, likely = nearest_pieces([pieces.id_to_piece(i) for i in self.ids], _NEAREST)
        self._near = {
            token: ([self.ids[j] for j in columns], shares.tolist())
            for token, columns, shares in zip(self.ids, near.tolist(), likely, strict=True)
        }

    def confused_with(self, token: int) -> int:
        """Another token, mostly one that is spelt alike."""
        rng = self.rng
        if rng.random() < _ANY_PIECE or token not in self._near:
            return rng.choice(self.ids)
        others, cumulated = self._near[token]
        return others[min(bisect(cumulated, rng.random()), len(others) - 1)]

    def _between(self, first: int, second: int, share: float) -> Position:
        """Two tokens, of which the first has the share."""
        if first == second or share == 1:
            return ((first, 1.0),)
        pair = ((first, share), (second, 1 - share))
        return pair if share >= 0.5 else pair[::-1]

    def _misread(self, token: int, behind: list[Position]) -> list[Position]:
        rng = self.rng
        kind, share = rng.random(), 0.5 + 0.5 * rng.random()
        if kind < _SUBSTITUTION:
            # In three of four cases the right token comes second.
            second = token if rng.random() < 0.75 else self.confused_with(token)
            return [self._between(self.confused_with(token), second, share)]
        if kind < _DELETION:
            if behind and rng.random() < 0.6:  # it leaves a trace in its neighbour
                trace = 0.15 + 0.3 * rng.random()
                kept = [(other, (1 - trace) * value) for other, value in behind[-1]]
                mixed = sorted([*kept, (token, trace)], key=lambda pair: -pair[1])[:3]
                total = sum(value for _, value in mixed)
                behind[-1] = tuple((other, value / total) for other, value in mixed)
            return []
        other = self.confused_with(token)
        if kind < _DOUBLING:
            again = token if rng.random() < 0.4 else self.confused_with(token)
            halves = 0.5 + 0.5 * rng.random()
            return [self._between(token, other, share), self._between(again, token, halves)]
        extra = rng.choice(self.ids) if rng.random() < 0.5 else other
        return [self._between(extra, other, share), ((token, 1.0),)]

    def __call__(self, tokens: list[int], errors: float) -> list[Position]:
        """The posteriors of a text that was read.

        Args:
            tokens: its pieces.
            errors: share of them that are misread, about.

        >>> import io, sentencepiece
        >>> from espnet_otreg.text_llm.tokenizer import train_sentencepiece
        >>> model = train_sentencepiece(["press one", "press two"], ["en"], 14)
        >>> pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        >>> ids = pieces.encode("press two")
        >>> exact = ReadoutSimulator(pieces, random.Random(0))(ids, 0.0)
        >>> exact == [((token, 1.0),) for token in ids]
        True
        """
        rng, found, bad = self.rng, list[Position](), False
        for token in tokens:
            bad = rng.random() < (_STAYS_BAD if bad else _TURNS_BAD)
            if rng.random() < min(_MOST, errors * (_BADLY if bad else _WELL)):
                found += self._misread(token, found)
                continue
            doubt = rng.random() ** 3 * (0.49 if bad else 0.35) * min(1.0, 6 * errors)
            found.append(self._between(token, self.confused_with(token), 1 - doubt))
        return found
