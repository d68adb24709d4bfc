"""Pairs of speech and text: sums written out, convex combinations, the identity plan, silence."""

import pytest
import torch

from espnet_otreg.regularizers.levels import (
    segment_pairs,
    segment_sums,
    token_pairs,
    utterance_pairs,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def plan():
    """Two utterances of 7 and 4 frames, 3 and 2 tokens."""
    coupling = random(2, 7, 3).exp()
    coupling[1, 4:] = coupling[1, :, 2:] = 0
    return coupling / coupling.sum((1, 2), keepdim=True)


def test_pairs_are_the_sums_of_the_docstring(plan):
    speech, tokens = random(2, 7, 5, seed=1), random(2, 3, 5, seed=2)
    ids = torch.tensor([[4, 5, 6], [5, 7, -1]])
    by_token = token_pairs(plan, speech, tokens, ids)
    by_segment = segment_pairs(plan, speech, tokens, 3)
    frames = {0: [[0, 1, 2], [3, 4, 5], [6]], 1: [[0, 1, 2], [3]]}
    k = 0
    for b, count in ((0, 3), (1, 2)):
        for j in range(count):
            pooled = sum(plan[b, i, j] * speech[b, i] for i in range(7)) / plan[b, :, j].sum()
            row = 3 * b + j
            torch.testing.assert_close(by_token.speech[row], pooled)
            assert torch.equal(by_token.text[row], tokens[b, j])
            assert by_token.weight[row] == pytest.approx(1 / count)
        for segment in frames[b]:
            part = plan[b, segment]
            spoken = sum(part[n].sum() * speech[b, i] for n, i in enumerate(segment)) / part.sum()
            multi_token = sum(part[:, j].sum() * tokens[b, j] for j in range(3)) / part.sum()
            torch.testing.assert_close(by_segment.speech[k], spoken)
            torch.testing.assert_close(by_segment.text[k], multi_token)
            torch.testing.assert_close(by_segment.weight[k], part.sum())  # totals are 1
            k += 1
    assert by_token.token.tolist() == [4, 5, 6, 5, 7]
    assert by_token.utterance.tolist() == [0, 0, 0, 1, 1]
    assert by_segment.utterance.tolist() == [0, 0, 0, 1, 1] and by_segment.token is None


def test_utterances_are_weighted_means_against_the_mean_of_the_transcript(plan):
    speech, text = random(2, 7, 5, seed=1), random(2, 4, 5, seed=2)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    text = torch.where(mask[:, :, None], text, 0)
    pairs = utterance_pairs(plan, speech, text, mask)
    for b, count in ((0, 4), (1, 2)):
        spoken = sum(plan[b, i].sum() * speech[b, i] for i in range(7))
        torch.testing.assert_close(pairs.speech[b], spoken)
        torch.testing.assert_close(pairs.text[b], text[b, :count].mean(0))
    assert pairs.utterance.tolist() == [0, 1] and pairs.weight.tolist() == [1, 1]


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 20])
def test_multi_token_vectors_are_convex_combinations_of_tokens(plan, frames):
    basis = torch.eye(3, dtype=plan.dtype).expand(2, 3, 3)
    weights = segment_pairs(plan, random(2, 7, 5), basis, frames).text
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights), dtype=plan.dtype))


def test_an_identity_plan_returns_the_tokens_and_the_frames():
    plan = torch.eye(4, dtype=torch.float64)[None] / 4
    speech, tokens = random(1, 4, 6), random(1, 4, 6, seed=1)
    for pairs in (
        segment_pairs(plan, speech, tokens, 1),
        token_pairs(plan, speech, tokens, torch.arange(4)[None]),
    ):
        torch.testing.assert_close(pairs.speech, speech[0], rtol=1e-12, atol=0)
        torch.testing.assert_close(pairs.text, tokens[0], rtol=1e-12, atol=0)


def test_segment_sums_keep_the_total():
    values = random(2, 7, 3)
    for frames in (1, 2, 7, 9):
        sums = segment_sums(values, frames)
        assert sums.shape == (2, -(-7 // frames), 3)
        torch.testing.assert_close(sums.sum(1), values.sum(1))
    assert (segment_sums(values[:, :0], 4) == torch.zeros(2, 1, 3)).all()


def test_silence_is_no_segment_and_underflow_gives_no_nan():
    plan = torch.full((1, 6, 2), 0.1)
    plan[0, 2:4] = 0.0  # all of it at the anchor
    plan[0, 4:] = 1e-38  # all but what float32 hardly holds
    plan.requires_grad_()
    speech, tokens = torch.ones(1, 6, 3, requires_grad=True), torch.eye(2, 3)[None]
    pairs = segment_pairs(plan, speech, tokens, 2)
    assert len(pairs.weight) == 1
    (pairs.speech.square().sum() + (pairs.text[:, 0] * pairs.speech[:, 0]).sum()).backward()
    assert plan.grad.isfinite().all() and speech.grad.isfinite().all()
    assert (plan.grad[0, 2:] == 0).all() and (speech.grad[0, :2] > 0).all()


@pytest.mark.parametrize(("frames", "tokens"), [(0, 2), (3, 0), (0, 0)])
def test_nothing_gives_no_pairs(frames, tokens):
    plan, speech = torch.zeros(2, frames, tokens), torch.zeros(2, frames, 4)
    text, mask = torch.zeros(2, tokens, 4), torch.zeros(2, tokens, dtype=torch.bool)
    for pairs in (
        token_pairs(plan, speech, text, torch.full((2, tokens), -1)),
        segment_pairs(plan, speech, text, 2),
        utterance_pairs(plan, speech, text, mask),
    ):
        assert pairs.speech.shape == pairs.text.shape == (0, 4) and len(pairs.weight) == 0
