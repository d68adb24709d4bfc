"""A model that turns batches of speech into hypotheses, in every way of decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from espnet_otreg.decoding.beam import beam_search
from espnet_otreg.decoding.candidates import propose, score_candidates
from espnet_otreg.decoding.ctc import best_paths
from espnet_otreg.decoding.greedy import greedy
from espnet_otreg.decoding.hypothesis import Candidate, Generated, Hypothesis
from espnet_otreg.decoding.options import DecodingOptions
from espnet_otreg.decoding.prefix import Reader, read_prefix
from espnet_otreg.decoding.rescoring import transcript_log_probs
from espnet_otreg.decoding.sampling import sample
from espnet_otreg.decoding.tokens import TokenMaps
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.embeddings import SpeechEmbeddings
from espnet_otreg.slm.model import SpokenLanguageModel


@dataclass(frozen=True)
class Recognized:
    """The hypotheses of a batch: mode -> utterance -> best first.

    ``candidates`` are those of mode joint, in no order: choosing among them needs weights.
    """

    hypotheses: dict[str, list[list[Hypothesis]]] = field(default_factory=dict)
    candidates: list[list[Candidate]] = field(default_factory=list)


class Recognizer:
    """Decodes with a trained model.

    Args:
        model: in evaluation mode; LoRA is merged into its weights.
        options: of all modes.
    """

    def __init__(self, model: SpokenLanguageModel, options: DecodingOptions) -> None:
        model.llm.merge_adapter()
        self.model = model
        self.options = options
        self.maps = TokenMaps(model)

    @torch.inference_mode()
    def __call__(
        self,
        speech: Tensor,
        lengths: Tensor,
        languages: Sequence[str],
        seconds: Sequence[float],
        modes: Sequence[str],
    ) -> Recognized:
        """Decode a batch.

        Args:
            speech: (B, N) waveforms or (B, T, D) features, padded.
            lengths: (B,).
            languages: B names.
            seconds: B durations, for the length limit.
            modes: of :data:`espnet_otreg.decoding.options.MODES`, without the shuffled floor.

        Raises:
            UserError: if a mode needs the CTC read-out and the model has none.
        """
        wanted, options, found = set(modes), self.options, Recognized()
        embeddings = self.model.encode(speech, lengths)
        limits = options.limits(seconds)
        if wanted & {"ctc", "joint"}:
            log_probs = self.maps.readout.log_probs(embeddings.values)
        if "ctc" in wanted:
            paths = best_paths(log_probs, embeddings.mask)
            found.hypotheses["ctc"] = [
                [Hypothesis(self.maps.text_of(self.maps.tokens_of(classes)), score)]
                for classes, score in paths
            ]
        if wanted & {"llm", "sample", "joint"}:
            inputs = self.llm_input(self.model.compress(embeddings), languages)
            prefix = read_prefix(self.model.llm, inputs)
        free: list[list[Generated]] = [[] for _ in languages]
        if wanted & {"llm", "joint"}:
            stops = self.model.prompt.stop_ids
            if options.num_beams == 1:
                beams = [[said] for said in greedy(prefix, stops, limits)]
            else:
                beams = beam_search(prefix, stops, limits, options.num_beams)
            _extend(free, beams)
            if "llm" in wanted:
                found.hypotheses["llm"] = self.scored(prefix, beams)
        if "sample" in wanted or ("joint" in wanted and options.num_samples):
            samples = self.sample(inputs, limits)
            _extend(free, samples)
            if "sample" in wanted:
                found.hypotheses["sample"] = self.scored(prefix, samples)
        if "joint" in wanted:
            rows = [row[:n] for row, n in zip(log_probs, embeddings.lengths.tolist(), strict=True)]
            beam, n_best = options.ctc_beam, options.num_candidates
            proposed = [
                propose(row, said, self.maps, beam, n_best)
                for row, said in zip(rows, free, strict=True)
            ]
            eos = self.model.prompt.eos_id
            silence = self.silence(languages)
            scored = score_candidates(prefix, silence, self.maps, eos, rows, proposed, free)
            found.candidates.extend(scored)
        if "llm_no_speech" in wanted:
            found.hypotheses["llm_no_speech"] = self.without_speech(languages, limits)
        return found

    def llm_input(self, speech: SpeechEmbeddings, languages: Sequence[str]) -> LLMInput:
        """Prompt and speech, padded on the left."""
        return self.model.assemble(speech, languages, padding_side="left")

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

    def scored(self, prefix: Reader, found: list[list[Generated]]) -> list[list[Hypothesis]]:
        """Texts with the teacher-forced log-probability of their tokens and the end, best first."""
        ids = [[g.token_ids for g in several] for several in found]
        scores = transcript_log_probs(prefix, ids, self.model.prompt.eos_id)
        batch = []
        for several, row in zip(found, scores, strict=True):
            hypotheses = [
                Hypothesis(self.maps.text_of(g.token_ids), score, g.hit_limit)
                for g, score in zip(several, row, strict=True)
            ]
            batch.append(sorted(hypotheses, key=lambda h: -h.score))
        return batch

    def silence(self, languages: Sequence[str]) -> Reader:
        """The prompts, read with one embedding of silence in the place of speech."""
        anchors = self.model.anchor().expand(len(languages), 1, -1)
        mask = torch.ones(len(languages), 1, dtype=torch.bool, device=anchors.device)
        inputs = self.llm_input(SpeechEmbeddings(anchors, mask, 0.0), languages)
        return read_prefix(self.model.llm, inputs)

    def without_speech(
        self, languages: Sequence[str], limits: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """What the LLM says to one embedding of silence: equal where language and limit are."""
        pairs = sorted(set(zip(languages, limits, strict=True)))
        names = [language for language, _ in pairs]
        prefix = self.silence(names)
        said = greedy(prefix, self.model.prompt.stop_ids, [limit for _, limit in pairs])
        spoken = dict(zip(pairs, self.scored(prefix, [[one] for one in said]), strict=True))
        return [spoken[pair] for pair in zip(languages, limits, strict=True)]


def _extend(all_of: list[list[Generated]], more: list[list[Generated]]) -> None:
    for several, added in zip(all_of, more, strict=True):
        several.extend(added)
