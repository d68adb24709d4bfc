"""A word n-gram, read by KenLM, beside the prefixes of a CTC beam search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from espnet_otreg.data.languages import language_or_default
from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.tokens import TokenMaps
from espnet_otreg.errors import UserError
from espnet_otreg.scoring.normalize import SPACELESS_LANGUAGES, split_units
from espnet_otreg.utf8 import read_utf8

_END, _UNKNOWN = "</s>", "<unk>"


class WordNGram:
    """The n-gram of a language.

    Args:
        path: an ARPA file.
        language: whether words are written with spaces.

    Raises:
        UserError: if there is no such file, or KenLM is not installed.
    """

    def __init__(self, path: Path, language: str) -> None:
        if not path.is_file():
            raise UserError("no n-gram of this language", str(path), "run train_ngram first")
        try:
            import kenlm
        except ImportError as error:
            mend = "install it: pip install ufal-kenlm"
            raise UserError("mode ctc_ngram needs KenLM", "", mend) from error
        config = kenlm.Config()
        config.show_progress = False
        self._new_state = kenlm.State
        self._model = kenlm.Model(str(path), config)
        self._path = path
        self.spaceless = language_or_default(language) in SPACELESS_LANGUAGES
        self._language = language

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """All beginnings of all words that are known."""
        found: set[str] = set()
        for line in read_utf8(self._path).split("\\2-grams:")[0].splitlines():
            word = line.split("\t")[1] if "\t" in line else ""
            found.update(word[:n] for n in range(1, len(word) + 1))
        return frozenset(found)

    def words(self, text: str) -> list[str]:
        """The words of a text; characters where no spaces are written."""
        return split_units(text, self._language)

    def begin(self) -> Any:
        """The state before a sentence."""
        state = self._new_state()
        self._model.BeginSentenceWrite(state)
        return state

    def score(self, state: Any, word: str) -> tuple[float, Any]:
        """Natural log-probability of a word, and the state behind it."""
        following = self._new_state()
        return math.log(10) * self._model.BaseScore(state, word, following), following

    def log_prob(self, words: Sequence[str]) -> float:
        """Natural log-probability of a whole sentence."""
        state, total = self.begin(), 0.0
        for word in (*words, _END):
            score, state = self.score(state, word)
            total += score
        return total

    def unknown(self, state: Any) -> float:
        """Natural log-probability of a word that is not known."""
        return self.score(state, _UNKNOWN)[0]


@cache
def load_ngram(path: Path, language: str) -> WordNGram:
    """The n-gram of a file, which is read once in a process and not for every batch.

    Raises:
        UserError: see :class:`WordNGram`.
    """
    return WordNGram(path, language)


@dataclass(frozen=True)
class _Read:
    """What the n-gram has read of a prefix: all but its last word."""

    state: Any
    log_prob: float
    words: int
    last: tuple[int, ...]  # the classes of the last word


class FusedNGram:
    """What a word n-gram adds to the score of a CTC prefix: weight * log p(words) + bonus * words.

    The last word of a prefix counts when the next one begins; before that an unknown one does, as
    soon as no known word begins like it.

    Args:
        ngram: of the language; kept as an attribute.
        maps: from classes to text.
        weights: ``prior_weight`` is that of the n-gram, ``length_bonus`` that of a word.
    """

    def __init__(self, ngram: WordNGram, maps: TokenMaps, weights: JointWeights) -> None:
        self.ngram, self._maps = ngram, maps
        self._weight, self._bonus = weights.prior_weight, weights.length_bonus
        self._texts: dict[tuple[int, ...], tuple[str, ...]] = {}
        self.begin()

    def begin(self) -> None:
        """Forget the prefixes of another utterance."""
        self._known: dict[tuple[int, ...], _Read] = {(): _Read(self.ngram.begin(), 0.0, 0, ())}

    def _text(self, classes: tuple[int, ...]) -> tuple[str, ...]:
        if classes not in self._texts:
            text = self._maps.text_of(self._maps.tokens_of(classes))
            self._texts[classes] = tuple(self.ngram.words(text))
        return self._texts[classes]

    def __call__(self, prefix: tuple[int, ...]) -> float:
        """Of a prefix, whose own beginning was asked for before."""
        if prefix not in self._known:
            self._known[prefix] = self._longer(self._known[prefix[:-1]], prefix[-1])
        read = self._known[prefix]
        log_prob = read.log_prob
        last = self._text(read.last)
        if last and not self.ngram.spaceless and last[-1] not in self.ngram.beginnings:
            log_prob += self.ngram.unknown(read.state)
        return self._weight * log_prob + self._bonus * read.words

    def _longer(self, read: _Read, added: int) -> _Read:
        if not (self._maps.begins_word[added] or self.ngram.spaceless):
            return _Read(read.state, read.log_prob, read.words, (*read.last, added))
        state, log_prob, count = read.state, read.log_prob, read.words
        for word in self._text(read.last):
            score, state = self.ngram.score(state, word)
            log_prob, count = log_prob + score, count + 1
        return _Read(state, log_prob, count, (added,))
