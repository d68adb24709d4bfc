"""Beam search against all sequences there are, and against Hugging Face's own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llm import build_tiny_llm
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from espnet_otreg.decoding.beam import beam_search
from espnet_otreg.decoding.encoded import SpeechBatch
from espnet_otreg.decoding.greedy import greedy
from espnet_otreg.decoding.limits import token_limits
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.decoding.rescoring import transcript_log_probs
from espnet_otreg.decoding.state import read_prefix
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import Prompt

from .conftest import LIMITS, Inputs

VOCABULARY = 6
SPEECH = (5, 2)  # embeddings of two utterances


def _all_log_probs(
    llm: LLM, speech: torch.Tensor, stops: Sequence[int], limit: int
) -> dict[tuple[int, ...], float]:
    """log p(tokens, any end) of every sequence of up to ``limit`` tokens, each read anew."""
    words = [token for token in range(VOCABULARY) if token not in stops]
    found = {}
    for length in range(limit + 1):
        every = list(itertools.product(words, repeat=length))
        ids = torch.tensor(every, dtype=torch.long).view(len(every), length)
        embedded = torch.cat([speech.expand(len(every), -1, -1), llm.embed(ids)], dim=1)
        # Of N tokens the last one is read, too: the end follows it.
        logits = llm.model(inputs_embeds=embedded).logits[:, speech.size(0) - 1 :]
        log_probs = logits.double().log_softmax(dim=-1)
        said = log_probs[:, :-1].gather(2, ids[..., None]).sum(dim=(1, 2))
        total = said + log_probs[:, -1, stops].logsumexp(dim=1)
        found |= dict(zip(every, total.tolist(), strict=True))
    return found


@torch.inference_mode()
@pytest.mark.parametrize("stops", [[2], [1, 4]])
def test_a_beam_that_holds_everything_finds_the_likeliest_of_all(
    tmp_path: Path, stops: list[int]
) -> None:
    llm = LLM(LLMConfig(model=str(build_tiny_llm(tmp_path)))).eval()
    llm.model.resize_token_embeddings(VOCABULARY)
    torch.manual_seed(2)
    speech = [0.7 * torch.randn(length, 32) for length in SPEECH]
    inputs = torch.zeros(2, max(SPEECH), 32)
    for row, values in zip(inputs, speech, strict=True):
        row[-len(values) :] = values
    mask = (inputs != 0).any(dim=2).long()
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    limits = [3, 2]
    expected = [_all_log_probs(llm, s, stops, n) for s, n in zip(speech, limits, strict=True)]
    beam = max(map(len, expected))
    prefix = read_prefix(llm, LLMInput(inputs, mask, positions))
    found = beam_search(prefix, stops, limits, beam)
    for several, every, limit in zip(found, expected, limits, strict=True):
        order = sorted(every, key=lambda tokens: -every[tokens])
        assert len({len(tokens) for tokens in order[:10]}) > 1  # not the shortest alone
        assert [generated.token_ids for generated in several] == order
        assert {g.token_ids for g in several if g.hit_limit} <= {
            tokens for tokens in order if len(tokens) == limit
        }
    # With fewer beams the best of all may be lost, but what is found has its own probability.
    for several, every in zip(beam_search(prefix, stops, limits, 3), expected, strict=True):
        scores = [every[generated.token_ids] for generated in several]
        assert len(set(several)) == 3 and scores == sorted(scores, reverse=True)


class _EndAt(LogitsProcessor):
    """Only the stop token may follow ``limit`` tokens; its probability stays what it is."""

    def __init__(self, stop: int, limit: int) -> None:
        self.stop, self.limit = stop, limit

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if input_ids.size(1) < self.limit:
            return scores
        others = torch.arange(scores.size(1)) != self.stop
        return scores.masked_fill(others, -torch.inf)


def _of_transformers(
    llm: LLM, one: LLMInput, stop: int, limit: int, num_beams: int
) -> list[tuple[tuple[int, ...], float]]:
    """Tokens and log-probability of the n-best."""
    config = GenerationConfig(
        max_new_tokens=limit + 1, do_sample=False, num_beams=num_beams,
        num_return_sequences=num_beams, length_penalty=0.0, early_stopping=False,
        eos_token_id=stop, pad_token_id=llm.anchor_id, repetition_penalty=1.0,
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    output = llm.model.generate(
        inputs_embeds=one.inputs_embeds,
        attention_mask=one.attention_mask,
        position_ids=one.position_ids,
        generation_config=config,
        logits_processor=LogitsProcessorList([_EndAt(stop, limit)]),
    )
    rows = zip(output.sequences.tolist(), output.sequences_scores.tolist(), strict=True)
    return [(tuple(row[: row.index(stop)]), score) for row, score in rows]


def _stops(reader: tuple[LLM, Prompt], inputs: Inputs, number: int) -> list[int]:
    """Tokens that these random LLMs like to say, so that hypotheses end at several lengths."""
    prefix = read_prefix(reader[0], inputs([number]))
    said = beam_search(prefix, [reader[1].eos_id], [4], 4)[0]
    return sorted({token for generated in said for token in generated.token_ids})[:3]


@pytest.mark.parametrize("num_beams", [2, 5])
def test_the_n_best_is_that_of_transformers(
    reader: tuple[LLM, Prompt], inputs: Inputs, num_beams: int
) -> None:
    llm, lengths = reader[0], set()
    for number, limit in enumerate(LIMITS):
        one = inputs([number])
        prefix = read_prefix(llm, one)
        for stop in _stops(reader, inputs, number):
            [found] = beam_search(prefix, [stop], [limit], num_beams)
            expected = _of_transformers(llm, one, stop, limit, num_beams)
            assert [generated.token_ids for generated in found] == [ids for ids, _ in expected]
            ids = [[generated.token_ids for generated in found]]
            scores = transcript_log_probs(prefix, ids, stop)[0]
            assert scores == pytest.approx([score for _, score in expected], abs=1e-4)
            lengths |= {len(generated.token_ids) == limit for generated in found}
    assert lengths == {True, False}


def test_hypotheses_alone_and_in_a_batch_are_equal(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    llm = reader[0]
    for stop in _stops(reader, inputs, 2):
        batch = beam_search(read_prefix(llm, inputs(range(4))), [stop], LIMITS, 3)
        for number, limit in enumerate(LIMITS):
            alone = beam_search(read_prefix(llm, inputs([number])), [stop], [limit], 3)
            assert alone == [batch[number]]


def test_one_beam_is_greedy(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    prefix, ended = read_prefix(reader[0], inputs(range(4))), 0
    for stop in _stops(reader, inputs, 0):
        said = greedy([prefix], [stop], stop, LIMITS, 4)
        assert beam_search(prefix, [stop], LIMITS, 1) == [[generated] for generated in said]
        ended += sum(not generated.hit_limit for generated in said)
    assert ended


def test_modes_list_the_whole_beam_with_scores(tiny_model: Any) -> None:
    recognize = Recognizer(tiny_model)
    torch.manual_seed(0)
    size = tiny_model.encoder.output_size()
    speech, lengths = torch.randn(2, 30, size), torch.tensor([30, 21])
    batch = SpeechBatch(speech, lengths, ["it", "ru"], [0.6, 0.4])
    found = recognize([batch], configure_modes(["llm", "joint"], {"num_beams": 4}))
    heard = tiny_model.compress(tiny_model.encode(speech, lengths))
    inputs = tiny_model.assemble(heard, ["it", "ru"], padding_side="left")
    prefix = read_prefix(tiny_model.llm, inputs)
    for n, several in enumerate(found["llm"]):
        assert len(several) == 4
        scores = [hypothesis.score for hypothesis in several]
        assert scores == sorted(scores, reverse=True)
        candidates = {candidate.text for candidate in found["joint"][n]}
        assert {hypothesis.text for hypothesis in several} <= candidates
        limits = token_limits([0.6, 0.4], 12, 10)  # as they are if nobody says otherwise
        beams = beam_search(prefix, tiny_model.prompt.stop_ids, limits, 4)[n]
        texts = [recognize.maps.text_of(generated.token_ids) for generated in beams]
        assert [hypothesis.text for hypothesis in several] == texts


def test_what_is_said_to_silence_depends_on_language_and_limit(tiny_model: Any) -> None:
    recognize = Recognizer(tiny_model)
    prompt = tiny_model.prompt
    languages, limits = ["it", "ru", "it", "it", "ru", "it"], [3, 9, 40, 3, 1, 20]
    nothing, ones = torch.zeros(6, 4, tiny_model.encoder.output_size()), torch.full((6,), 4)
    batch = SpeechBatch(nothing, ones, languages, [limit - 1 for limit in limits])
    options = {"tokens_per_second": 1, "extra_tokens": 1}
    found = recognize([batch], configure_modes(["llm_no_speech"], options))["llm_no_speech"]
    for language, limit, [hypothesis] in zip(languages, limits, found, strict=True):
        silence = recognize.silence([language])
        [alone] = greedy([silence], prompt.stop_ids, prompt.eos_id, [limit], 1)
        assert hypothesis.text == recognize.maps.text_of(alone.token_ids)
        assert hypothesis.hit_limit == alone.hit_limit
        assert hypothesis.score == pytest.approx(alone.log_prob, abs=1e-4)
    assert {hypothesis.hit_limit for [hypothesis] in found} == {True, False}
