"""A word n-gram, estimated by interpolated Kneser-Ney smoothing and written as ARPA."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_otreg.files import atomic_write

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
_NEVER = -99.0  # what ARPA files say of a word that is never predicted
Words = tuple[str, ...]


class NGram:
    """Interpolated Kneser-Ney (Chen and Goodman 1998) with one discount for each order.

        p(w | h) = max(c(h w) - D, 0) / c(h) + g(h) p(w | h'),  g(h) = D n(h) / c(h),

    where h' is h without its first word, n(h) counts the words seen behind h, c counts how often
    an n-gram of the highest order was seen, and for lower ones how many words were seen before it
    (how often it was seen, where it begins a sentence). D = n1 / (n1 + 2 n2) with the numbers of
    n-grams counted once and twice. Single words are interpolated with a uniform distribution over
    the vocabulary, one word of which stands for all unknown ones.

    Args:
        sentences: lists of words.
        order: length of the longest n-grams, 2 or more.

    Attributes:
        probs: p(w | h) of every n-gram (*h, w) that was seen, and of an unknown word.
        back_offs: g(h) of every h that a word was seen behind.

    >>> model = NGram([["a", "b"], ["a", "c"]], 2)
    >>> model.probs["a", "b"] == model.probs["a", "c"] > model.probs["c",]
    True
    """

    def __init__(self, sentences: Iterable[Sequence[str]], order: int) -> None:
        self.order = order
        counts = self._counts(sentences)
        self.probs: dict[Words, float] = {}
        self.back_offs: dict[Words, float] = {}
        vocabulary = {words[0] for words in counts[0]} | {END, UNKNOWN}
        self._uniform = 1 / len(vocabulary)
        for table in counts:
            self._add(table)
        self.probs[UNKNOWN,] = self.back_offs.pop((), 1.0) * self._uniform
        self.probs[BEGIN,] = 10**_NEVER

    def _counts(self, sentences: Iterable[Sequence[str]]) -> list[Counter[Words]]:
        """The counts of each order, the first one first."""
        seen: list[Counter[Words]] = [Counter() for _ in range(self.order)]
        for sentence in sentences:
            words = (BEGIN, *sentence, END)
            for length, table in enumerate(seen, start=1):
                table.update(words[n : n + length] for n in range(len(words) - length + 1))
        counts = [seen[-1]]
        for length in range(self.order - 1, 0, -1):
            before = Counter(words[1:] for words in seen[length])
            begun = {w: c for w, c in seen[length - 1].items() if w[0] == BEGIN}
            counts.insert(0, before if length == 1 else before + Counter(begun))
        return counts

    def _add(self, table: Counter[Words]) -> None:
        """The probabilities of an order, when those of the lower ones are known."""
        spread = Counter(table.values())
        once, twice = spread[1], spread[2]
        discount = once / (once + 2 * twice) if once and twice else 0.5
        total: dict[Words, int] = defaultdict(int)
        kinds: dict[Words, int] = defaultdict(int)
        for words, count in table.items():
            history = words[:-1]
            total[history] += count
            kinds[history] += 1
        rest = {history: discount * kinds[history] / total[history] for history in total}
        for words, count in table.items():
            history = words[:-1]
            lower = self.probs[words[1:]] if history else self._uniform
            self.probs[words] = (count - discount) / total[history] + rest[history] * lower
        self.back_offs |= rest

    def write(self, path: Path) -> None:
        """Write an ARPA file."""
        tables: list[list[str]] = [[] for _ in range(self.order)]
        for words, p in self.probs.items():
            line = f"{math.log10(p):.6f}\t{' '.join(words)}"
            if len(words) < self.order:
                line += f"\t{math.log10(self.back_offs.get(words, 1.0)):.6f}"
            tables[len(words) - 1].append(line + "\n")
        with atomic_write(path) as file:
            file.write("\\data\\\n")
            file.writelines(f"ngram {n}={len(table)}\n" for n, table in enumerate(tables, start=1))
            for n, table in enumerate(tables, start=1):
                file.write(f"\n\\{n}-grams:\n")
                file.writelines(table)
            file.write("\n\\end\\\n")
