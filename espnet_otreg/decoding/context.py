"""What modes of decoding share: the model, its tokens, and scores by the LLM."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from espnet_otreg.decoding.hypothesis import Generated, Hypothesis
from espnet_otreg.decoding.rescoring import transcript_log_probs
from espnet_otreg.decoding.state import LLMState, read_prefix
from espnet_otreg.decoding.tokens import TokenMaps
from espnet_otreg.slm.embeddings import SpeechEmbeddings
from espnet_otreg.slm.model import SpokenLanguageModel


class DecodingContext:
    """A model that decodes.

    Args:
        model: in evaluation mode.
        batch_size: utterances that the LLM goes on with together in greedy decoding.
    """

    def __init__(self, model: SpokenLanguageModel, batch_size: int = 32) -> None:
        self.model = model
        self.batch_size = batch_size
        self.maps = TokenMaps(model)

    def silence(self, languages: Sequence[str]) -> LLMState:
        """The prompts, read with one embedding of silence in the place of speech.

        Utterances of one language share what is read.
        """
        names = list(dict.fromkeys(languages))
        anchors = self.model.anchor().expand(len(names), 1, -1)
        mask = torch.ones(len(names), 1, dtype=torch.bool, device=anchors.device)
        speech = SpeechEmbeddings(anchors, mask, 0.0)
        inputs = self.model.assemble(speech, names, padding_side="left")
        return read_prefix(self.model.llm, inputs).select([names.index(n) for n in languages])

    def scored(
        self,
        prefixes: Sequence[LLMState],
        found: Sequence[Sequence[Sequence[Generated]]],
        ordered: bool = True,
    ) -> list[list[Hypothesis]]:
        """Texts with the log-probability of their tokens and the end.

        Args:
            prefixes: of each batch what stands before them.
            found: batch -> utterance -> tokens.
            ordered: best first; else as they come.
        """
        utterances = []
        for prefix, batch in zip(prefixes, found, strict=True):
            for several, row in zip(batch, self._log_probs(prefix, batch), strict=True):
                hypotheses = [
                    Hypothesis(self.maps.text_of(g.token_ids), score, g.hit_limit)
                    for g, score in zip(several, row, strict=True)
                ]
                order = sorted(hypotheses, key=lambda h: -h.score) if ordered else hypotheses
                utterances.append(order)
        return utterances

    def _log_probs(
        self, prefix: LLMState, batch: Sequence[Sequence[Generated]]
    ) -> list[list[float]]:
        known = [[g.log_prob for g in several if g.log_prob is not None] for several in batch]
        if list(map(len, known)) == list(map(len, batch)):
            return known
        ids = [[g.token_ids for g in several] for several in batch]
        return transcript_log_probs(prefix, ids, self.model.prompt.eos_id)
