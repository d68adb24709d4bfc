"""The joint search against all transcripts there are, scored by torch's CTC loss and the LLM."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_llm import build_tiny_llm
from torch import Tensor

from espnet_otreg.decoding.joint import JointWeights
from espnet_otreg.decoding.joint_search import Heard, JointSearch
from espnet_otreg.decoding.state import LLMState, read_prefix
from espnet_otreg.decoding.tokens import UNKNOWN_TOKEN, TokenMaps
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.readout import TokenReadout

from .conftest import Inputs

END, ANCHOR = 2, 0
SPELT, STRANGE = [20, 21, 22], [23]  # tokens with a class, and what else may be said
FRAMES, LIMITS = (5, 3, 4), [3, 2, 0]
EVERYTHING = 1000


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> LLM:
    """An LLM that has the tokens above and no others."""
    found = LLM(LLMConfig(model=str(build_tiny_llm(tmp_path_factory.mktemp("llm"))))).eval()
    found.model.resize_token_embeddings(max(STRANGE) + 1)
    return found


def maps_of(llm: LLM, spelt: Sequence[int] = SPELT) -> TokenMaps:
    readout = TokenReadout(spelt, ANCHOR, llm.vocabulary_size, llm.embed)
    maps = TokenMaps(SimpleNamespace(llm=llm, readout=readout))  # type: ignore[arg-type]
    maps.without_class[: min(SPELT)] = False
    return maps


def prompts(llm: LLM, lengths: Sequence[int], seed: int) -> tuple[LLMState, list[Tensor]]:
    """Prompts that the LLM has read, and the embeddings of each alone."""
    torch.manual_seed(seed)
    rows = [0.7 * torch.randn(length, llm.embedding_size) for length in lengths]
    inputs = torch.zeros(len(rows), max(lengths), llm.embedding_size)
    mask = torch.zeros(inputs.shape[:2], dtype=torch.long)
    for n, row in enumerate(rows):
        inputs[n, -len(row) :], mask[n, -len(row) :] = row, 1
    return read_prefix(llm, LLMInput(inputs, mask, (mask.cumsum(1) - 1).clamp(min=0))), rows


def heard_by_ctc(seed: int, classes: int = len(SPELT) + 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    values = 2 * torch.randn(len(FRAMES), max(FRAMES), classes)
    return values.log_softmax(-1), torch.tensor(FRAMES)


def by_llm(llm: LLM, before: Tensor, tokens: Sequence[int]) -> float:
    """log p(tokens, end), read anew."""
    ids = torch.tensor(tokens, dtype=torch.long)
    inputs = torch.cat([before, llm.embed(ids)])[None]
    logits = llm.model(inputs_embeds=inputs).logits[0, len(before) - 1 :].double()
    return float(logits.log_softmax(-1).gather(1, torch.tensor([*tokens, END])[:, None]).sum())


def by_ctc(log_probs: Tensor, tokens: Sequence[int]) -> float:
    classes = [SPELT.index(t) + 1 for t in tokens if t in SPELT]
    loss = torch.nn.functional.ctc_loss(
        log_probs[:, None].double(), torch.tensor([classes], dtype=torch.long),
        (len(log_probs),), (len(classes),), reduction="sum",
    )  # fmt: skip
    return -float(loss) + UNKNOWN_TOKEN * (len(tokens) - len(classes))


Parts = list[dict[tuple[int, ...], tuple[float, float, float]]]


@pytest.fixture(scope="module")
@torch.inference_mode()
def every(llm: LLM) -> Parts:
    """Of each utterance all transcripts with their scores by CTC, LLM and prior."""
    (_, spoken), (_, silent) = prompts(llm, (5, 2, 3), 2), prompts(llm, (1, 1, 1), 3)
    log_probs, _ = heard_by_ctc(4)
    found: Parts = []
    for n, limit in enumerate(LIMITS):
        lengths = range(limit + 1)
        all_of_them = (itertools.product([*SPELT, *STRANGE], repeat=length) for length in lengths)
        several = list(itertools.chain.from_iterable(all_of_them))
        ctc = [by_ctc(log_probs[n, : FRAMES[n]], tokens) for tokens in several]
        read = [[by_llm(llm, b[n], tokens) for tokens in several] for b in (spoken, silent)]
        found.append(dict(zip(several, zip(ctc, *read, strict=True), strict=True)))
    return found


@pytest.mark.parametrize(
    "weights",
    [
        JointWeights(0.4, 1.5, 0.3), JointWeights(0.0, 0.0, 0.1), JointWeights(1.0, -2.0, 0.0),
        JointWeights(0.5, 4.0, -0.5),
    ],
)  # fmt: skip
def test_a_beam_that_holds_everything_finds_the_best_of_all(
    llm: LLM, every: Parts, weights: JointWeights
) -> None:
    (prefix, _), (silence, _) = prompts(llm, (5, 2, 3), 2), prompts(llm, (1, 1, 1), 3)
    log_probs, lengths = heard_by_ctc(4)
    heard = Heard(log_probs, lengths, prefix, silence, LIMITS)
    found = JointSearch(heard, maps_of(llm), END, weights, EVERYTHING, math.inf).run()
    for n, limit in enumerate(LIMITS):
        scores = {
            tokens: weights.combine(*parts, len(tokens))
            for tokens, parts in every[n].items()
            if parts[0] > -math.inf  # enough frames
        }
        order = sorted(scores, key=lambda tokens: -scores[tokens])
        assert [generated.token_ids for generated in found[n]] == order
        assert all(len(g.token_ids) == limit for g in found[n] if g.hit_limit)
    assert len(found[0]) > 50 and [g.token_ids for g in found[2]] == [()]


@pytest.mark.parametrize("margin", [3.0, math.inf])
def test_utterances_do_not_depend_on_their_batch(llm: LLM, margin: float) -> None:
    lengths = (5, 2, 3)
    (prefix, _), (silence, _) = prompts(llm, lengths, 2), prompts(llm, (1, 1, 1), 3)
    log_probs, frames = heard_by_ctc(4)
    weights, limits = JointWeights(0.4, 4.0, 0.2), [5, 2, 4]

    def search(rows: Sequence[int]) -> list[Any]:
        longest = int(frames[list(rows)].max())
        heard = Heard(
            log_probs[list(rows), :longest], frames[list(rows)], prefix.select(rows),
            silence.select(rows), [limits[n] for n in rows],
        )  # fmt: skip
        return JointSearch(heard, maps_of(llm), END, weights, 3, margin).run()

    together = search([0, 1, 2])
    assert [search([n])[0] for n in range(3)] == together
    assert search([2, 0]) == [together[2], together[0]]
    assert len({len(several[0].token_ids) for several in together}) > 1  # they end one by one


def test_a_narrow_beam_gives_every_transcript_its_own_score(
    reader: tuple[LLM, Any], inputs: Inputs
) -> None:
    """Of several architectures, with windows and positions of their own."""
    from espnet_otreg.decoding.ctc import ctc_log_probs
    from espnet_otreg.decoding.rescoring import transcript_log_probs

    llm, prompt = reader
    maps, weights = maps_of(llm, range(20, 60)), JointWeights(0.3, 1.0)
    torch.manual_seed(0)
    log_probs = (3 * torch.randn(4, 12, 41)).log_softmax(-1)
    frames = torch.tensor([12, 4, 7, 9])
    prefix = read_prefix(llm, inputs(range(4)))
    heard = Heard(log_probs, frames, prefix, None, [9, 4, 14, 9])
    found = JointSearch(heard, maps, prompt.eos_id, weights, 4, 20.0).run()
    assert all(len(several) == 4 for several in found)
    read = transcript_log_probs(prefix, [[g.token_ids for g in s] for s in found], prompt.eos_id)
    for n, several in enumerate(found):
        classes = [[c for c in maps.classes_of(g.token_ids) if c > 0] for g in several]
        ctc = ctc_log_probs(log_probs[n, : frames[n]].double(), classes)
        strange = [len(g.token_ids) - len(c) for g, c in zip(several, classes, strict=True)]
        scores = [
            weights.combine(c + UNKNOWN_TOKEN * s, r, 0.0, len(g.token_ids))
            for c, s, r, g in zip(ctc, strange, read[n], several, strict=True)
        ]
        assert scores == sorted(scores, reverse=True)
