"""What the LLM says and what it thinks of transcripts: alone and in batches, any architecture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from espnet_otreg.decoding import rescoring
from espnet_otreg.decoding.greedy import greedy
from espnet_otreg.decoding.hypothesis import Generated
from espnet_otreg.decoding.rescoring import transcript_log_probs
from espnet_otreg.decoding.sampling import sample
from espnet_otreg.decoding.state import LLMState, read_prefix
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import Prompt

from .conftest import LIMITS, Inputs

TRANSCRIPTS = [
    [[20, 21, 22], [], [30], [20, 21], [20, 21, 23]],
    [[25]],
    [[40, 41, 42, 43, 44]],
    [[9], [10, 11]],
]


def _greedy(reader: tuple[LLM, Prompt], inputs: Inputs, numbers: Sequence[int]) -> list[Any]:
    llm, prompt = reader
    prefix = read_prefix(llm, inputs(numbers))
    limits = [LIMITS[n] for n in numbers]
    return greedy([prefix], prompt.stop_ids, prompt.eos_id, limits, len(limits))


def test_log_probabilities_alone_and_in_a_batch_agree(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    llm, prompt = reader
    batch = transcript_log_probs(read_prefix(llm, inputs(range(4))), TRANSCRIPTS, prompt.eos_id)
    for n, several in enumerate(TRANSCRIPTS):
        for m, transcript in enumerate(several):
            prefix = read_prefix(llm, inputs([n]))
            alone = transcript_log_probs(prefix, [[transcript]], prompt.eos_id)
            assert batch[n][m] == pytest.approx(alone[0][0], abs=1e-4)


def test_log_probabilities_are_those_of_one_pass_without_a_cache(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    llm, prompt = reader
    for n, transcript in ((0, [20, 21, 22]), (1, [25]), (2, [])):
        one = inputs([n])
        token_ids = torch.tensor([transcript], dtype=torch.long)
        with torch.inference_mode():
            embedded = torch.cat([one.inputs_embeds, llm.embed(token_ids)], dim=1)
            after = one.position_ids[:, -1:] + torch.arange(1, len(transcript) + 1)
            logits = llm.model(
                inputs_embeds=embedded,
                attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long),
                position_ids=torch.cat([one.position_ids, after], dim=1),
            ).logits[0, -len(transcript) - 1 :]
        targets = torch.tensor([*transcript, prompt.eos_id])
        expected = logits.log_softmax(-1).gather(1, targets[:, None]).sum()
        found = transcript_log_probs(read_prefix(llm, one), [[transcript]], prompt.eos_id)
        assert found[0][0] == pytest.approx(float(expected), abs=1e-4)


def test_beginnings_are_read_once_where_the_llm_can_read_trees(
    reader: tuple[LLM, Prompt], inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm, prompt = reader
    several = [[[20, 21, 22, 5, 6, 7, 8, 9, 11], [20, 21, 22, 5, 9], [20, 30], [], [20, 30]]]
    prefix = read_prefix(llm, inputs([2]))
    sizes: list[torch.Size] = []
    decoder = llm.model.get_decoder()
    hook = decoder.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["inputs_embeds"].shape), with_kwargs=True
    )
    together = transcript_log_probs(prefix, several, prompt.eos_id)
    assert [tuple(size[:2]) for size in sizes] == [(1, 9 + 1 + 1)]
    sizes.clear()
    monkeypatch.setattr(LLMState, "can_branch", False)
    apart = transcript_log_probs(prefix, several, prompt.eos_id)
    hook.remove()
    assert [tuple(size[:2]) for size in sizes] == [(5, 9)]
    assert together[0] == pytest.approx(apart[0], abs=1e-4)
    assert together[0][2] == together[0][4]


def test_the_vocabulary_is_looked_at_once_per_beginning(
    reader: tuple[LLM, Prompt], inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm, prompt = reader
    rows: list[int] = []
    logits = llm.logits

    def counted(hidden: torch.Tensor) -> torch.Tensor:
        rows.append(len(hidden))
        return logits(hidden)

    monkeypatch.setattr(llm, "logits", counted)
    prefix = read_prefix(llm, inputs(range(4)))
    whole = transcript_log_probs(prefix, TRANSCRIPTS, prompt.eos_id)
    # One state before the first token, then one behind each new beginning.
    assert rows == [6 + 2 + 6 + 4]
    monkeypatch.setattr(rescoring, "_LOGITS_AT_ONCE", 3 * llm.vocabulary_size)
    pieces = transcript_log_probs(prefix, TRANSCRIPTS, prompt.eos_id)
    assert set(rows[1:-1]) == {3}
    for one, other in zip(whole, pieces, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def _margin(llm: LLM, one: LLMInput, tokens: Sequence[int]) -> float:
    """How far the two likeliest next tokens are apart behind ``tokens``."""
    reader = read_prefix(llm, one)
    if tokens:
        reader.read(torch.tensor([list(tokens)]))
    with torch.inference_mode():
        best = llm.logits(reader.hidden)[0].log_softmax(-1).topk(2).values
    return float(best[0] - best[1])


def _differences(
    llm: LLM, inputs: Inputs, one: Sequence[Any], other: Sequence[Any]
) -> tuple[int, int]:
    """Hypotheses that differ, and those of them without a tie at the first difference."""
    differing = unexplained = 0
    for n, (a, b) in enumerate(zip(one, other, strict=True)):
        if a != b:
            differing += 1
            pairs = zip(a.token_ids, b.token_ids, strict=False)
            same = next((t for t, (x, y) in enumerate(pairs) if x != y), len(b.token_ids))
            unexplained += _margin(llm, inputs([n]), a.token_ids[:same]) >= 1e-4
    return differing, unexplained


def test_greedy_hypotheses_alone_and_in_a_batch_are_equal(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    batch = _greedy(reader, inputs, range(4))
    alone = [_greedy(reader, inputs, [n])[0] for n in range(4)]
    differing, unexplained = _differences(reader[0], inputs, batch, alone)
    assert unexplained == 0, f"{differing} hypotheses differ, {unexplained} without a tie"


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2), (1, 2, 1), (3, 1)])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_places_of_ended_utterances_are_taken_by_others(
    reader: tuple[LLM, Prompt], inputs: Inputs, sizes: Sequence[int], at_once: int
) -> None:
    llm, prompt = reader
    ends = list(itertools.accumulate(sizes))
    groups = [list(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]
    prefixes = [read_prefix(llm, inputs(group)) for group in groups]
    rows: list[int] = []
    decoder = llm.model.get_decoder()
    hook = decoder.register_forward_hook(lambda *call: rows.append(len(call[2][0])))
    for stop in (prompt.eos_id, 10**6):  # they end by themselves, or at their limits
        found = greedy(prefixes, [stop], prompt.eos_id, LIMITS, at_once)
        alone = [
            greedy([read_prefix(llm, inputs([n]))], [stop], prompt.eos_id, [limit], 1)[0]
            for n, limit in enumerate(LIMITS)
        ]
        differing, unexplained = _differences(llm, inputs, found, alone)
        assert unexplained == 0, f"{differing} hypotheses differ, {unexplained} without a tie"
    hook.remove()
    assert max(rows) <= max(at_once, *sizes)
    assert max(at_once, *sizes) < 2 or max(rows) > 1


def test_greedy_scores_are_the_teacher_forced_ones(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    llm, prompt = reader
    prefixes = [read_prefix(llm, inputs(group)) for group in ((0,), (1, 2), (3,))]
    found = greedy(prefixes, prompt.stop_ids, prompt.eos_id, LIMITS, 3)
    ids = [[list(generated.token_ids)] for generated in found]
    scores = transcript_log_probs(read_prefix(llm, inputs(range(4))), ids, prompt.eos_id)
    for generated, [score] in zip(found, scores, strict=True):
        assert generated.log_prob == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("number", [0, 2])
def test_greedy_agrees_with_generate(
    reader: tuple[LLM, Prompt], inputs: Inputs, number: int
) -> None:
    llm, prompt = reader
    one, limit = inputs([number]), LIMITS[number]
    config = GenerationConfig(
        max_new_tokens=limit + 1, do_sample=False, eos_token_id=list(prompt.stop_ids),
        pad_token_id=llm.anchor_id, repetition_penalty=1.0,
    )  # fmt: skip
    [tokens] = llm.model.generate(
        inputs_embeds=one.inputs_embeds,
        attention_mask=one.attention_mask,
        position_ids=one.position_ids,
        generation_config=config,
    ).tolist()
    end = next((t for t, token in enumerate(tokens) if token in prompt.stop_ids), None)
    expected = Generated(tuple(tokens[:end][:limit]), end is None)
    assert _greedy(reader, inputs, [number]) == [expected]


def test_every_utterance_has_its_own_limit(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    for generated, limit in zip(_greedy(reader, inputs, range(4)), LIMITS, strict=True):
        assert len(generated.token_ids) <= limit
        assert not generated.hit_limit or len(generated.token_ids) == limit
    llm, prompt = reader
    never = [10**6]  # no such token: nothing ends a hypothesis
    prefix = read_prefix(llm, inputs(range(4)))
    for generated, limit in zip(
        greedy([prefix], never, prompt.eos_id, LIMITS, 4), LIMITS, strict=True
    ):
        assert len(generated.token_ids) == limit and generated.hit_limit


def test_samples_depend_on_the_seed_alone(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    llm, prompt = reader
    prefix = read_prefix(llm, inputs(range(4)))

    def draw(seed: int, temperature: float = 1.0) -> Any:
        return sample(prefix, prompt.stop_ids, LIMITS, 3, seed=seed, temperature=temperature)

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = draw(1)
    assert torch.equal(before, torch.random.get_rng_state())  # nobody else's random numbers
    torch.manual_seed(6)
    assert draw(1) == first
    assert draw(2) != first
    assert all(len(several) == 3 for several in first)
    cold = draw(1, temperature=1e-4)
    expected = _greedy(reader, inputs, range(4))
    assert _differences(llm, inputs, expected, [several[0] for several in cold])[1] == 0


def test_samples_come_from_the_whole_vocabulary(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    llm, _ = reader
    prefix = read_prefix(llm, inputs([2]))
    # So hot that all tokens are nearly equally likely: none may be left out.
    [drawn] = sample(prefix, [], [0], 1000, temperature=100.0)
    assert {generated.token_ids for generated in drawn} == {()}
    [drawn] = sample(prefix, [], [1], 1000, temperature=100.0)
    counts = torch.bincount(torch.tensor([g.token_ids[0] for g in drawn]))
    with torch.inference_mode():
        expected = 1000 * (prefix.logits()[0] / 100).softmax(dim=-1)
    assert len(counts.nonzero()) > 0.9 * llm.vocabulary_size
    difference = (counts - expected[: len(counts)]).abs() / expected[: len(counts)].sqrt()
    assert float(difference.max()) < 5  # standard deviations
