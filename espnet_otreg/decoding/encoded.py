"""Utterances that are decoded together, with all that several modes read, computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.decoding.beam import beam_search
from espnet_otreg.decoding.context import DecodingContext
from espnet_otreg.decoding.greedy import greedy
from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.joint_search import Heard, JointSearch
from espnet_otreg.decoding.limits import fitting, token_limits
from espnet_otreg.decoding.sampling import sample
from espnet_otreg.decoding.state import LLMState, read_prefix
from espnet_otreg.slm.embeddings import SpeechEmbeddings

Batches = list[list[list[Generated]]]  # batch -> utterance -> hypotheses


@dataclass(frozen=True)
class SpeechBatch:
    """Utterances that are encoded together.

    Attributes:
        speech: (B, N) waveforms or (B, T, D) features, padded.
        lengths: (B,).
        languages: B names.
        seconds: B durations, for the length limit.
        names: of the utterances, for messages.
    """

    speech: Tensor
    lengths: Tensor
    languages: Sequence[str]
    seconds: Sequence[float]
    names: Sequence[str] = ()


class EncodedSpeech:
    """Several batches, encoded.

    Args:
        context: the model that encodes and reads them.
        batches: read one after the other.

    Attributes:
        embeddings: of each batch what the projector made of it.
        languages, seconds, names: of each batch those of its utterances.
    """

    def __init__(self, context: DecodingContext, batches: Iterable[SpeechBatch]) -> None:
        self._context = context
        self._computed: dict[Hashable, Any] = {}
        self.embeddings: list[SpeechEmbeddings] = []
        self.languages: list[Sequence[str]] = []
        self.seconds: list[Sequence[float]] = []
        self.names: list[Sequence[str]] = []
        for batch in batches:
            self.embeddings.append(context.model.encode(batch.speech, batch.lengths))
            self.languages.append(batch.languages)
            self.seconds.append(batch.seconds)
            self.names.append(batch.names)

    def _once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        if key not in self._computed:
            self._computed[key] = compute()
        return self._computed[key]

    @cached_property
    def log_probs(self) -> list[Tensor]:
        """Of each batch (B, S, C) log-probabilities of the CTC read-out.

        Raises:
            UserError: if the model has none.
        """
        readout = self._context.maps.readout
        return [readout.log_probs(heard.values) for heard in self.embeddings]

    @cached_property
    def prefixes(self) -> list[LLMState]:
        """Of each batch prompts and speech, read by the LLM; states that modes leave as they are.

        Raises:
            UserError: if an utterance takes more positions than the LLM has.
        """
        model = self._context.model
        rows = zip(self.embeddings, self.languages, self.names, strict=True)
        inputs = [
            model.assemble(model.compress(heard), languages, padding_side="left", names=names)
            for heard, languages, names in rows
        ]
        return [read_prefix(model.llm, one) for one in inputs]

    def token_limits(self, tokens_per_second: float, extra_tokens: int) -> list[list[int]]:
        """Of each batch the most tokens that its utterances may get, by their durations.

        Raises:
            UserError: if a duration is none.
        """
        return [token_limits(row, tokens_per_second, extra_tokens) for row in self.seconds]

    def limits(self, tokens_per_second: float, extra_tokens: int) -> list[list[int]]:
        """The same, as far as the LLM has positions behind prompt and speech.

        Raises:
            UserError: if it has none, naming the utterance.
        """

        def compute() -> list[list[int]]:
            wanted = self.token_limits(tokens_per_second, extra_tokens)
            rows = zip(self.prefixes, wanted, self.names, strict=True)
            return [fitting(prefix, row, names) for prefix, row, names in rows]

        found: list[list[int]] = self._once(("limits", tokens_per_second, extra_tokens), compute)
        return found

    def search(self, num_beams: int, limits: Sequence[Sequence[int]]) -> Batches:
        """What a greedy (one beam) or beam search finds, best first."""

        def compute() -> Batches:
            prompt = self._context.model.prompt
            if num_beams > 1:
                pairs = zip(self.prefixes, limits, strict=True)
                return [
                    beam_search(prefix, prompt.stop_ids, row, num_beams) for prefix, row in pairs
                ]
            flat, at_once = list(chain.from_iterable(limits)), self._context.batch_size
            said = iter(greedy(self.prefixes, prompt.stop_ids, prompt.eos_id, flat, at_once))
            return [[[one] for one in islice(said, len(row))] for row in limits]

        key = ("search", num_beams, tuple(map(tuple, limits)))
        found: Batches = self._once(key, compute)
        return found

    def search_jointly(
        self, num_beams: int, margin: float, weights: JointWeights, limits: Sequence[Sequence[int]]
    ) -> Batches:
        """What CTC and the LLM find together, best first.

        Args:
            num_beams, margin, weights: as in
                :class:`espnet_otreg.decoding.joint_search.JointSearch`.
            limits: numbers of tokens.

        Raises:
            UserError: if the model has no CTC read-out.
        """
        context = self._context
        eos_id = context.model.prompt.eos_id
        found: list[list[Generated]] = []
        for group in self._groups():
            prefix = self.prefixes[group[0]].fork()
            for n in group[1:]:
                prefix.join(self.prefixes[n].fork())
            frames = [row for n in group for row in self.log_probs[n]]
            heard = Heard(
                pad_sequence(frames, batch_first=True),
                torch.cat([self.embeddings[n].lengths for n in group]),
                prefix,
                context.silence([name for n in group for name in self.languages[n]])
                if weights.prior_weight
                else None,
                [limit for n in group for limit in limits[n]],
            )
            found += JointSearch(heard, context.maps, eos_id, weights, num_beams, margin).run()
        rows = iter(found)
        return [list(islice(rows, len(names))) for names in self.languages]

    def _groups(self) -> list[list[int]]:
        """Numbers of the batches that the LLM can go on with together."""
        groups: list[list[int]] = []
        rows = 0
        for n, prefix in enumerate(self.prefixes):
            together = groups and prefix.can_join and rows + len(prefix) <= self._context.batch_size
            if together:
                groups[-1].append(n)
            else:
                groups.append([n])
            rows = rows + len(prefix) if together else len(prefix)
        return groups

    def sample(
        self, num_samples: int, temperature: float, seed: int, limits: Sequence[Sequence[int]]
    ) -> Batches:
        """Samples of the LLM; see :func:`espnet_otreg.decoding.sampling.sample`."""

        def compute() -> Batches:
            stop_ids = self._context.model.prompt.stop_ids
            return [
                sample(prefix, stop_ids, row, num_samples, temperature=temperature, seed=seed)
                for prefix, row in zip(self.prefixes, limits, strict=True)
            ]

        key = ("sample", num_samples, temperature, seed, tuple(map(tuple, limits)))
        found: Batches = self._once(key, compute)
        return found
