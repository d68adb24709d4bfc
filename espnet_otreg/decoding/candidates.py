"""The candidates of joint decoding: found by CTC, by the LLM or by both, scored by both."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from espnet_otreg.decoding.context import DecodingContext
from espnet_otreg.decoding.ctc import ctc_log_probs, prefix_beam_search
from espnet_otreg.decoding.encoded import EncodedSpeech
from espnet_otreg.decoding.hypothesis import Candidate, Generated
from espnet_otreg.decoding.rescoring import transcript_log_probs
from espnet_otreg.decoding.state import LLMState
from espnet_otreg.decoding.tokens import UNKNOWN_TOKEN, TokenMaps
from espnet_otreg.errors import UserError

Spellings = dict[str, set[tuple[int, ...]]]  # text -> token sequences that spell it


def propose(
    log_probs: Tensor, free: Sequence[Generated], maps: TokenMaps, beam: int, n_best: int
) -> Spellings:
    """The texts of the CTC n-best and of other hypotheses of one utterance.

    Args:
        log_probs: (S, C) of the CTC read-out.
        free: hypotheses of the LLM and of the joint search.
        maps: of the model.
        beam, n_best: of the CTC prefix beam search.

    Returns:
        Each text with its spellings: the tokenizer's own, as both readers were trained, and any
        other that was found.
    """
    found: Spellings = {}
    for classes, _ in prefix_beam_search(log_probs.exp(), beam, n_best):
        tokens = maps.tokens_of(classes)
        found.setdefault(maps.text_of(tokens), set()).add(tokens)
    for generated in free:
        found.setdefault(maps.text_of(generated.token_ids), set()).add(generated.token_ids)
    for text, spellings in found.items():
        spellings.add(maps.canonical(text))
    return found


def score_by_ctc(log_probs: Tensor, spellings: Spellings, maps: TokenMaps) -> dict[str, float]:
    """The log-probability of each text of one utterance: that of its likeliest spelling."""
    flat = [(text, tokens) for text, several in spellings.items() for tokens in sorted(several)]
    classes = [maps.classes_of(tokens) for _, tokens in flat]
    known = [[c for c in row if c > 0] for row in classes]
    scores = ctc_log_probs(log_probs, known)
    best: dict[str, float] = {}
    for (text, tokens), row, score in zip(flat, known, scores, strict=True):
        score += UNKNOWN_TOKEN * (len(tokens) - len(row))
        best[text] = max(best.get(text, score), score)
    return best


def score_candidates(
    prefix: LLMState,
    silence: LLMState,
    maps: TokenMaps,
    eos_id: int,
    log_probs: Sequence[Tensor],
    proposed: Sequence[Spellings],
    free: Sequence[Sequence[Generated]],
) -> list[list[Candidate]]:
    """Score the candidates of a batch.

    Args:
        prefix: B prompts with speech; the LLM scores the tokenizer's spelling of each text.
        silence: the same prompts without speech, for the LLM's prior.
        maps: of the model.
        eos_id: the end that training has taught.
        log_probs: B matrices (S, C) of the CTC read-out.
        proposed: B results of :func:`propose`.
        free: B lists of other hypotheses.
    """
    ids = [[maps.canonical(text) for text in spellings] for spellings in proposed]
    by_llm = transcript_log_probs(prefix, ids, eos_id)
    by_prior = transcript_log_probs(silence, ids, eos_id)
    batch = []
    for n, spellings in enumerate(proposed):
        limited = {maps.text_of(g.token_ids) for g in free[n] if g.hit_limit}
        by_ctc = score_by_ctc(log_probs[n], spellings, maps)
        rows = zip(spellings, ids[n], by_llm[n], by_prior[n], strict=True)
        batch.append([Candidate(t, len(i), by_ctc[t], s, p, t in limited) for t, i, s, p in rows])
    return batch


def find_candidates(
    context: DecodingContext,
    batch: EncodedSpeech,
    said: Sequence[Sequence[Sequence[Generated]]],
    ctc_beam: int,
    num_candidates: int,
) -> list[list[Candidate]]:
    """What CTC and the LLM propose, scored by both.

    Args:
        context: the model.
        batch: the utterances.
        said: batch -> utterance -> what the LLM and the joint search have found.
        ctc_beam, num_candidates: of the CTC prefix beam search.

    Raises:
        UserError: if the LLM has positions for none of an utterance's candidates.
    """
    found = []
    for n, heard in enumerate(batch.embeddings):
        lengths = heard.lengths.tolist()
        rows = [row[:end] for row, end in zip(batch.log_probs[n], lengths, strict=True)]
        proposed = [
            propose(row, several, context.maps, ctc_beam, num_candidates)
            for row, several in zip(rows, said[n], strict=True)
        ]
        prefix, eos = batch.prefixes[n], context.model.prompt.eos_id
        proposed = _with_room(context.maps, prefix, proposed, batch.names[n])
        silence = context.silence(batch.languages[n])
        found += score_candidates(prefix, silence, context.maps, eos, rows, proposed, said[n])
    return found


def _with_room(
    maps: TokenMaps, prefix: LLMState, proposed: list[Spellings], names: Sequence[str]
) -> list[Spellings]:
    """The texts that the LLM has positions for, of each utterance."""
    rooms = prefix.rooms()
    if rooms is None:
        return proposed
    left = [
        {t: several for t, several in one.items() if len(maps.canonical(t)) <= room}
        for one, room in zip(proposed, rooms, strict=True)
    ]
    for number, texts in enumerate(left):
        if not texts:
            raise UserError(
                f"the LLM has no positions for any transcript, only {rooms[number]} left",
                f"utterance {names[number] if names else f'number {number}'}",
                "cut or remove it",
            )
    return left
