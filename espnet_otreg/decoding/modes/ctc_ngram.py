"""CTC with a word n-gram, the classical way; the LLM is not run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.joint import NGRAM_GRID, WEIGHT_RANGES
from espnet_otreg.decoding.modes.base import READOUT, option
from espnet_otreg.decoding.modes.registry import MODES
from espnet_otreg.decoding.modes.weighed import Weighed
from espnet_otreg.ranges import Range

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.encoded import EncodedSpeech

_WEIGHT, _BONUS = WEIGHT_RANGES["prior_weight"], WEIGHT_RANGES["length_bonus"]


@MODES.register("ctc_ngram")
@dataclass(frozen=True)
class CTCNGram(Weighed):
    """A prefix beam search of CTC in which a word n-gram counts (Hannun et al. 2014):
    log p_ctc + weight * log p_ngram(words) + bonus * words."""

    title = "CTC + word n-gram"
    summary = "CTC prefix beam search with a word n-gram"
    needs = frozenset({READOUT}) | Weighed.needs
    grid = NGRAM_GRID
    file = "ctc_ngram"
    choosing = {"prior_weight": "ngram_weight", "length_bonus": "word_bonus"}
    searching = {"prior_weight": "ngram_search_weight", "length_bonus": "ngram_search_bonus"}
    fixed = {"weight": 0.0}

    ngram: str | None = option(None, "directory of LANGUAGE.arpa (train_ngram)")
    ngram_beam: int = option(32, "prefixes kept", Range(1, 10_000, whole=True))
    ngram_search_weight: float = option(0.5, "of the n-gram in the search", _WEIGHT)
    ngram_search_bonus: float = option(1.0, "per word in the search", _BONUS)
    ngram_weight: float = option(0.5, "of the n-gram", _WEIGHT, when_done=True)
    word_bonus: float = option(1.0, "per word", _BONUS, when_done=True)

    def lacks(self) -> list[str]:
        """The n-grams."""
        return [] if self.ngram else ["needs --ngram, the directory that train_ngram has made"]

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> list[list[Candidate]]:
        """Candidates in no order, with those of CTC alone."""
        from espnet_otreg.decoding.candidates import propose, score_by_ctc
        from espnet_otreg.decoding.ctc import prefix_beam_search
        from espnet_otreg.decoding.hypothesis import Generated
        from espnet_otreg.decoding.word_ngram import FusedNGram, load_ngram

        assert self.ngram is not None
        directory, maps = Path(self.ngram), context.maps
        fused: dict[str, FusedNGram] = {}
        found = []
        for n, heard in enumerate(batch.embeddings):
            rows = zip(batch.log_probs[n], heard.lengths.tolist(), batch.languages[n], strict=True)
            for padded, length, language in rows:
                if language not in fused:
                    ngram = load_ngram(directory / f"{language}.arpa", language)
                    fused[language] = FusedNGram(ngram, maps, self.search_weights)
                own, log_probs = fused[language], padded[:length]
                own.begin()
                best = prefix_beam_search(
                    log_probs.exp(), self.ngram_beam, self.num_candidates, fused=own
                )
                said = [Generated(maps.tokens_of(classes), False) for classes, _ in best]
                spellings = propose(log_probs, said, maps, self.ctc_beam, self.num_candidates)
                ctc = score_by_ctc(log_probs, spellings, maps)
                words = {text: own.ngram.words(text) for text in spellings}
                found.append(
                    [
                        Candidate(text, len(w), ctc[text], 0.0, own.ngram.log_prob(w))
                        for text, w in words.items()
                    ]
                )
        return found
