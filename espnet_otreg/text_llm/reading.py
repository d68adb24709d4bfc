"""Does the LLM read? Held-out sentences, from simulated read-outs, against what stood there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.scoring.error_rate import count_errors, pool
from espnet_otreg.slm.llm import cache_name
from espnet_otreg.text_llm.batches import BatchMaker
from espnet_otreg.text_llm.settings import Sentence
from espnet_otreg.text_llm.tokenizer import BOS_ID, EOS_ID

_AT_ONCE = 48
# As many misread tokens as an in-domain read-out has: one in three words is wrong.
_ERRORS = 0.15


@torch.inference_mode()
def read_greedily(
    model: Any, sources: Sequence[Tensor], languages: Sequence[int], table: Tensor
) -> list[list[int]]:
    """What the LLM writes for sources, in the layout of :class:`BatchMaker`.

    Args:
        model: the causal LM.
        sources: B tensors (N, D).
        languages: B ids of language tokens.
        table: (V, D) its embeddings.

    Returns:
        B lists of token ids without EOS; at most half as many again as the source has, and 8.
    """
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    lengths = [len(source) + 2 for source in sources]
    width, count = max(lengths), len(sources)
    inputs = torch.zeros(count, width, table.size(1))
    mask = torch.zeros(count, width, dtype=torch.long)
    positions = torch.zeros(count, width, dtype=torch.long)
    for row, (source, language, length) in enumerate(zip(sources, languages, lengths, strict=True)):
        inputs[row, -length:] = torch.cat([table[[BOS_ID]], source, table[[language]]])
        mask[row, -length:] = 1
        positions[row, -length:-1] = torch.arange(length - 1)
    limits = [len(source) * 3 // 2 + 8 for source in sources]
    written: list[list[int]] = [[] for _ in sources]
    going = set(range(count))
    name, cache = cache_name(decoder), None
    for step in range(max(limits) + 1):
        output = decoder(
            inputs_embeds=inputs,
            position_ids=positions,
            attention_mask=mask,
            use_cache=True,
            **({} if cache is None else {name: cache}),
        )
        cache = output[name]
        tokens = head(output.last_hidden_state[:, -1]).argmax(dim=-1)
        for row in list(going):
            token = int(tokens[row])
            if token == EOS_ID or len(written[row]) == limits[row]:
                going.discard(row)
            else:
                written[row].append(token)
        if not going:
            break
        inputs = table[tokens][:, None]
        positions = torch.full((count, 1), step + 1)
        mask = torch.cat([mask, torch.ones(count, 1, dtype=torch.long)], dim=1)
    return written


@dataclass(frozen=True)
class ReadingTest:
    """Simulated read-outs of sentences that are not trained on, always the same.

    Attributes:
        sentences: B of them.
        sources: B tensors (N, D).
        languages: B ids of language tokens.
        word_error_rate: in percent, of the likeliest tokens of the sources: what CTC says.
    """

    sentences: list[Sentence]
    sources: list[Tensor]
    languages: list[int]
    word_error_rate: float

    def read(self, model: Any, pieces: Any, table: Tensor) -> float:
        """Percent of the words that the LLM gets wrong, in greedy decoding."""
        said: list[str] = []
        was_training = model.training
        model.eval()
        for start in range(0, len(self.sources), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            written = read_greedily(model, self.sources[part], self.languages[part], table)
            said += [pieces.decode(tokens) for tokens in written]
        model.train(was_training)
        return _error_rate(self.sentences, said)


def _error_rate(sentences: Sequence[Sentence], said: Sequence[str]) -> float:
    references = [sentence.text.split() for sentence in sentences]
    return pool(count_errors(references, [text.split() for text in said])).rate


def make_reading_test(
    maker: BatchMaker, sentences: Sequence[Sentence], table: Tensor, seed: int
) -> ReadingTest:
    """Simulate read-outs of sentences, without touching the random numbers of the training.

    Args:
        maker: knows the pieces and the simulation.
        sentences: not trained on.
        table: (V, D) the LLM's embeddings, which stay as they are.
        seed: of the simulated errors.
    """
    kept, maker.readouts.rng = maker.readouts.rng, random.Random(seed)
    ordered = sorted(sentences, key=lambda sentence: len(sentence.text))
    outputs = [maker.readouts(maker.pieces.encode(s.text), _ERRORS) for s in ordered]
    maker.readouts.rng = kept
    best = [maker.pieces.decode([position[0][0] for position in output]) for output in outputs]
    return ReadingTest(
        ordered,
        [maker.source(output, table) for output in outputs],
        [maker.language_ids[sentence.language] for sentence in ordered],
        _error_rate(ordered, best),
    )
