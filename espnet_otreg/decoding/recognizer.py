"""A model that turns batches of speech into hypotheses, in every way of decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import torch
from torch import Tensor

from espnet_otreg.decoding.beam import beam_search
from espnet_otreg.decoding.candidates import propose, score_candidates
from espnet_otreg.decoding.ctc import best_paths
from espnet_otreg.decoding.greedy import greedy
from espnet_otreg.decoding.hypothesis import Candidate, Generated, Hypothesis
from espnet_otreg.decoding.options import DecodingOptions
from espnet_otreg.decoding.prefix import Reader, fitting, read_prefix
from espnet_otreg.decoding.rescoring import transcript_log_probs
from espnet_otreg.decoding.sampling import cut, sample
from espnet_otreg.decoding.tokens import TokenMaps
from espnet_otreg.errors import UserError
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.embeddings import SpeechEmbeddings
from espnet_otreg.slm.model import SpokenLanguageModel


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


@dataclass(frozen=True)
class Recognized:
    """The hypotheses of all batches: mode -> utterance -> best first.

    ``candidates`` are those of mode joint, in no order: choosing among them needs weights.
    """

    hypotheses: dict[str, list[list[Hypothesis]]]
    candidates: list[list[Candidate]] = field(default_factory=list)


class Recognizer:
    """Decodes with a trained model.

    Args:
        model: in evaluation mode; LoRA is merged into its weights.
        options: of all modes.
        batch_size: utterances that the LLM goes on with together in greedy decoding.
    """

    def __init__(
        self, model: SpokenLanguageModel, options: DecodingOptions, batch_size: int = 32
    ) -> None:
        model.llm.merge_adapter()
        self.model = model
        self.options = options
        self.batch_size = batch_size
        self.maps = TokenMaps(model)

    @torch.inference_mode()
    def __call__(self, batches: Iterable[SpeechBatch], modes: Sequence[str]) -> Recognized:
        """Decode several batches, whose utterances take each other's places as they end.

        Args:
            batches: read one after the other; best sorted by length.
            modes: of :data:`espnet_otreg.decoding.options.MODES`, without the shuffled floor.

        Raises:
            UserError: if a mode needs the CTC read-out and the model has none.
        """
        wanted, options = set(modes), self.options
        found = Recognized({mode: [] for mode in modes if mode != "joint"})
        embeddings, languages, limits, keys = [], [], [], []
        for batch in batches:
            embeddings.append(self.model.encode(batch.speech, batch.lengths))
            languages.append(batch.languages)
            limits.append(options.limits(batch.seconds))
            keys.append(batch.names)
        free: list[list[list[Generated]]] = [[[] for _ in row] for row in limits]
        if wanted & {"ctc", "joint"}:
            log_probs = [self.maps.readout.log_probs(e.values) for e in embeddings]
        if "ctc" in wanted:
            for batch_rows, heard in zip(log_probs, embeddings, strict=True):
                found.hypotheses["ctc"] += [
                    [Hypothesis(self.maps.text_of(self.maps.tokens_of(classes)), score)]
                    for classes, score in best_paths(batch_rows, heard.mask)
                ]
        if wanted & {"llm", "sample", "joint"}:
            inputs = [
                self.llm_input(self.model.compress(heard), spoken, names)
                for heard, spoken, names in zip(embeddings, languages, keys, strict=True)
            ]
            prefixes = [read_prefix(self.model.llm, one) for one in inputs]
            limits = [
                fitting(prefix, row, names)
                for prefix, row, names in zip(prefixes, limits, keys, strict=True)
            ]
        if wanted & {"llm", "joint"}:
            beams = self.search(prefixes, limits)
            _extend(free, beams)
            if "llm" in wanted:
                found.hypotheses["llm"] = self.scored(prefixes, beams)
        if "sample" in wanted or ("joint" in wanted and options.num_samples):
            samples = [self.sample(*both) for both in zip(inputs, limits, strict=True)]
            _extend(free, samples)
            if "sample" in wanted:
                found.hypotheses["sample"] = self.scored(prefixes, samples)
        if "joint" in wanted:
            for n, heard in enumerate(embeddings):
                lengths = heard.lengths.tolist()
                rows = [row[:length] for row, length in zip(log_probs[n], lengths, strict=True)]
                silence = self.silence(languages[n])
                found.candidates.extend(
                    self.candidates(prefixes[n], silence, rows, free[n], keys[n])
                )
        if "llm_no_speech" in wanted:
            names = list(chain.from_iterable(languages))
            found.hypotheses["llm_no_speech"] = self.without_speech(
                names, list(chain.from_iterable(limits))
            )
        return found

    def llm_input(
        self, speech: SpeechEmbeddings, languages: Sequence[str], names: Sequence[str] = ()
    ) -> LLMInput:
        """Prompt and speech, padded on the left; ``names`` are for messages."""
        return self.model.assemble(speech, languages, padding_side="left", names=names)

    def search(
        self, prefixes: Sequence[Reader], limits: Sequence[Sequence[int]]
    ) -> list[list[list[Generated]]]:
        """Batch -> utterance -> what a greedy or beam search finds, best first."""
        prompt, beams = self.model.prompt, self.options.num_beams
        if beams > 1:
            pairs = zip(prefixes, limits, strict=True)
            return [beam_search(prefix, prompt.stop_ids, row, beams) for prefix, row in pairs]
        flat = list(chain.from_iterable(limits))
        said = iter(greedy(prefixes, prompt.stop_ids, prompt.eos_id, flat, self.batch_size))
        return [[[one] for one in islice(said, len(row))] for row in limits]

    def sample(self, inputs: LLMInput, limits: Sequence[int]) -> list[list[Generated]]:
        """Samples of the LLM; see :func:`espnet_otreg.decoding.sampling.sample`."""
        options = self.options
        return sample(
            self.model.llm,
            inputs,
            self.model.prompt.stop_ids,
            limits,
            options.num_samples,
            temperature=options.temperature,
            seed=options.seed,
        )

    def candidates(
        self,
        prefix: Reader,
        silence: Reader,
        rows: Sequence[Tensor],
        free: Sequence[Sequence[Generated]],
        names: Sequence[str] = (),
    ) -> list[list[Candidate]]:
        """What CTC (its log-probabilities are ``rows``) and the LLM propose, scored by both.

        Raises:
            UserError: if the LLM has positions for none of an utterance's candidates.
        """
        beam, n_best = self.options.ctc_beam, self.options.num_candidates
        proposed = [
            propose(row, said, self.maps, beam, n_best)
            for row, said in zip(rows, free, strict=True)
        ]
        rooms = prefix.rooms()
        if rooms is not None:
            proposed = [
                {t: several for t, several in one.items() if len(self.maps.canonical(t)) <= room}
                for one, room in zip(proposed, rooms, strict=True)
            ]
            for number, left in enumerate(proposed):
                if not left:
                    raise UserError(
                        f"the LLM has no positions for any transcript, only {rooms[number]} left",
                        f"utterance {names[number] if names else f'number {number}'}",
                        "cut or remove it",
                    )
        eos = self.model.prompt.eos_id
        return score_candidates(prefix, silence, self.maps, eos, rows, proposed, free)

    def scored(
        self, prefixes: Sequence[Reader], found: Sequence[list[list[Generated]]]
    ) -> list[list[Hypothesis]]:
        """Texts with the log-probability of their tokens and the end, best first."""
        utterances = []
        for prefix, batch in zip(prefixes, found, strict=True):
            for several, row in zip(batch, self._log_probs(prefix, batch), strict=True):
                hypotheses = [
                    Hypothesis(self.maps.text_of(g.token_ids), score, g.hit_limit)
                    for g, score in zip(several, row, strict=True)
                ]
                utterances.append(sorted(hypotheses, key=lambda h: -h.score))
        return utterances

    def _log_probs(self, prefix: Reader, batch: list[list[Generated]]) -> list[list[float]]:
        known = [[g.log_prob for g in several if g.log_prob is not None] for several in batch]
        if list(map(len, known)) == list(map(len, batch)):
            return known
        ids = [[g.token_ids for g in several] for several in batch]
        return transcript_log_probs(prefix, ids, self.model.prompt.eos_id)

    def silence(self, languages: Sequence[str]) -> Reader:
        """The prompts, read with one embedding of silence in the place of speech.

        Utterances of one language share what is read.
        """
        names = list(dict.fromkeys(languages))
        anchors = self.model.anchor().expand(len(names), 1, -1)
        mask = torch.ones(len(names), 1, dtype=torch.bool, device=anchors.device)
        inputs = self.llm_input(SpeechEmbeddings(anchors, mask, 0.0), names)
        rows = torch.tensor([names.index(name) for name in languages], device=anchors.device)
        return read_prefix(self.model.llm, inputs).select(rows)

    def without_speech(
        self, languages: Sequence[str], limits: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """What the LLM says to one embedding of silence: the same to every speaker of a language,
        as far as the limit lets it."""
        prompt, known = self.model.prompt, sorted(set(languages))
        prefix = self.silence(known)
        rooms = dict(zip(known, prefix.rooms() or [max(limits)] * len(known), strict=True))
        wanted = [(name, min(n, rooms[name])) for name, n in zip(languages, limits, strict=True)]
        pairs = sorted(set(wanted))
        longest = dict(pairs)  # of each language the last pair, which has its largest limit
        ends = list(longest.values())
        said = greedy([prefix], prompt.stop_ids, prompt.eos_id, ends, self.batch_size)
        cuts = []
        for name, whole in zip(longest, said, strict=True):
            tokens = [*whole.token_ids, *([] if whole.hit_limit else [prompt.eos_id])]
            own = [limit for language, limit in pairs if language == name]
            cuts.append([cut(tokens, prompt.stop_ids, limit) for limit in own])
        scores = chain.from_iterable(self._log_probs(prefix, cuts))
        spoken = {
            pair: [Hypothesis(self.maps.text_of(one.token_ids), score, one.hit_limit)]
            for pair, one, score in zip(pairs, chain.from_iterable(cuts), scores, strict=True)
        }
        return [spoken[pair] for pair in wanted]


def _extend(
    free: Sequence[Sequence[list[Generated]]], more: Sequence[Sequence[list[Generated]]]
) -> None:
    for utterances, added in zip(free, more, strict=True):
        for several, new in zip(utterances, added, strict=True):
            several.extend(new)
