"""Training batches of the mini LLM: noisy source, language token, clean text."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from sentencepiece import set_random_generator_seed
from torch import Tensor

from espnet_otreg.text_llm.noise import misspell
from espnet_otreg.text_llm.settings import Sentence, TextLLMSettings
from espnet_otreg.text_llm.simulation import Position, ReadoutSimulator
from espnet_otreg.text_llm.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, language_token

_POOL = 2000  # sentences among which those of like length are put together
_TOKENS = 3  # in the posterior of one source position
_FIRST_PIECE = max(UNK_ID, BOS_ID, EOS_ID, PAD_ID) + 1


@dataclass(frozen=True)
class TextBatch:
    """(B, L, D) embeddings, (B, L) positions, (B, L) tokens to predict (-100 where none is)."""

    inputs: Tensor
    positions: Tensor
    labels: Tensor


class BatchMaker:
    """Makes batches in the layout of the spoken language model.

    ``[BOS][source][language][text][EOS]``, where the source is what speech would be: means of the
    table's rows under simulated posteriors of the misspelt text. Positions start anew at the
    language token (``prompt_conf.positions: restart``): the copy of a source lies straight across,
    which the LLM learns in a hundred steps instead of thousands. Cross-entropy is on text and EOS
    only.

    Args:
        pieces: the SentencePiece processor; it can sample segmentations.
        settings: shares and strengths of the noise.
        seed: of everything random.
    """

    def __init__(self, pieces: Any, settings: TextLLMSettings, seed: int) -> None:
        self.pieces = pieces
        self.settings = settings
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        # SentencePiece has one generator per process, which takes a seed before its first use.
        set_random_generator_seed(seed)
        self.readouts = ReadoutSimulator(pieces, self.rng)
        self.language_ids = {
            language: pieces.piece_to_id(language_token(language))
            for language in settings.languages
        }

    def groups(self, sentences: Sequence[Sentence]) -> Iterator[list[Sentence]]:
        """Sentences of like length, about ``batch_positions`` embeddings together, for ever."""
        order = list(sentences)
        while True:
            self.rng.shuffle(order)
            for start in range(0, len(order), _POOL):
                pool = sorted(order[start : start + _POOL], key=lambda s: len(s.text))
                groups: list[list[Sentence]] = [[]]
                for sentence in pool:
                    # About two characters a piece, once in the source and once in the text.
                    positions = len(sentence.text) + 4
                    if groups[-1] and (len(groups[-1]) + 1) * positions > (
                        self.settings.batch_positions
                    ):
                        groups.append([])
                    groups[-1].append(sentence)
                self.rng.shuffle(groups)
                yield from groups

    def _source_and_target(
        self, sentence: Sentence, level: float, random_copies: float
    ) -> tuple[list[Position], list[int]]:
        encode, settings = self.pieces.encode, self.settings
        target: list[int] = encode(sentence.text)
        if self.rng.random() < random_copies:
            vocabulary = len(self.pieces)
            first = _FIRST_PIECE + len(settings.languages)
            target = [self.rng.randrange(first, vocabulary) for _ in target]
            return [((token, 1.0),) for token in target], target
        if self.rng.random() < settings.plain_share:
            return [], target
        noisy = misspell(sentence.text, sentence.language, settings.misspelling * level, self.rng)
        sampled = self.rng.random() < settings.sampled_share
        read = (
            encode(noisy, enable_sampling=True, alpha=0.3, nbest_size=-1)
            if sampled
            else (encode(noisy))
        )
        return self.readouts(read, settings.errors * level), target

    def source(self, positions: Sequence[Position], table: Tensor) -> Tensor:
        """(N, D) what the LLM reads of a simulated read-out, without Gaussian noise."""
        ids, shares = (
            torch.full((len(positions), _TOKENS), PAD_ID),
            torch.zeros(len(positions), _TOKENS),
        )
        for index, position in enumerate(positions):
            for slot, (token, share) in enumerate(position):
                ids[index, slot], shares[index, slot] = token, share
        return (F.embedding(ids, table.detach()) * shares[..., None]).sum(dim=1)

    def batch(
        self,
        sentences: Sequence[Sentence],
        table: Tensor,
        random_copies: float = 0.0,
        noise: float = 1.0,
    ) -> TextBatch:
        """One batch.

        Args:
            sentences: B of them.
            table: (V, D) the LLM's embeddings; sources are detached from it.
            random_copies: share of random sequences, which teach to copy.
            noise: factor of all noise; little of it at first lets the LLM find out what the
                source is.
        """
        # Noise from none to twice the usual, so that the LLM learns how far to trust its source.
        levels = [2 * noise * self.rng.random() for _ in sentences]
        rows = [
            self._source_and_target(sentence, level, random_copies)
            for sentence, level in zip(sentences, levels, strict=True)
        ]
        length = max(len(source) + len(target) + 2 for source, target in rows)
        ids = torch.full((len(rows), length), PAD_ID)
        labels = torch.full((len(rows), length), -100)
        positions = torch.arange(length).repeat(len(rows), 1)
        sources = torch.zeros(len(rows), length, table.size(1))
        is_source = torch.zeros(len(rows), length, 1)
        for index, ((source, target), sentence) in enumerate(zip(rows, sentences, strict=True)):
            language = self.language_ids[sentence.language]
            start = 1 + len(source)
            ids[index, 0] = BOS_ID
            ids[index, start : start + len(target) + 1] = torch.tensor([language, *target])
            sources[index, 1:start] = self.source(source, table)
            is_source[index, 1:start] = 1
            positions[index, start:] -= start
            labels[index, start : start + len(target) + 1] = torch.tensor([*target, EOS_ID])
        deviation = self.settings.gaussian / table.size(1) ** 0.5
        strength = torch.tensor(levels)[:, None, None] * deviation
        noisy = sources + strength * torch.randn(sources.shape, generator=self.generator)
        inputs = torch.where(is_source > 0, noisy, F.embedding(ids, table))
        return TextBatch(inputs, positions, labels)
