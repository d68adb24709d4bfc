"""A floor: what the LLM writes without speech."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from espnet_otreg.decoding.hypothesis import Hypothesis
from espnet_otreg.decoding.modes.base import ReadsPrompt
from espnet_otreg.decoding.modes.registry import MODES

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.encoded import EncodedSpeech


@MODES.register("llm_no_speech")
@dataclass(frozen=True)
class LLMNoSpeech(ReadsPrompt):
    """Greedy search behind the prompt with one embedding of silence in the place of speech."""

    title = "no speech (floor)"
    summary = "floor: the LLM on silence alone"
    floor = True

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> list[list[Hypothesis]]:
        """The same to every speaker of a language, as far as the length limit lets it."""
        from espnet_otreg.decoding.greedy import greedy
        from espnet_otreg.decoding.sampling import cut

        languages = list(chain.from_iterable(batch.languages))
        limits = list(
            chain.from_iterable(batch.token_limits(self.tokens_per_second, self.extra_tokens))
        )
        prompt, known = context.model.prompt, sorted(set(languages))
        prefix = context.silence(known)
        rooms = dict(zip(known, prefix.rooms() or [max(limits)] * len(known), strict=True))
        wanted = [(name, min(n, rooms[name])) for name, n in zip(languages, limits, strict=True)]
        pairs = sorted(set(wanted))
        longest = dict(pairs)  # of each language the last pair, which has its largest limit
        ends = list(longest.values())
        said = greedy([prefix], prompt.stop_ids, prompt.eos_id, ends, context.batch_size)
        cuts = []
        for name, whole in zip(longest, said, strict=True):
            tokens = [*whole.token_ids, *([] if whole.hit_limit else [prompt.eos_id])]
            own = [limit for language, limit in pairs if language == name]
            cuts.append([cut(tokens, prompt.stop_ids, limit) for limit in own])
        found = chain.from_iterable(context.scored([prefix], [cuts], ordered=False))
        spoken = {pair: [hypothesis] for pair, hypothesis in zip(pairs, found, strict=True)}
        return [spoken[pair] for pair in wanted]
