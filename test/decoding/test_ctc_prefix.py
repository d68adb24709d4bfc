"""Prefix probabilities of CTC against sums over all alignments, torch's loss and ESPnet's own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from espnet_otreg.decoding.ctc_prefix import CTCPrefixes

from .test_ctc import every_transcript, posteriors


def grown(log_probs: Tensor, transcripts: list[list[int]], frames: list[int]) -> CTCPrefixes:
    """The prefixes of a batch, one for each utterance, all of one length."""
    prefixes = CTCPrefixes(log_probs, torch.tensor(frames))
    rows = torch.arange(len(frames))
    for classes in zip(*transcripts, strict=True):
        prefixes.extend(rows, torch.zeros(len(frames), 1).long(), torch.tensor(classes)[:, None])
    return prefixes


def test_every_prefix_is_the_sum_over_its_transcripts() -> None:
    frames = [5, 3]
    log_probs = torch.stack([posteriors(5, 3, seed) for seed in (0, 1)])
    exact = [every_transcript(row[:n]) for row, n in zip(log_probs, frames, strict=True)]
    prefixes = CTCPrefixes(log_probs, torch.tensor(frames))
    known: list[tuple[int, ...]] = [()]
    for _ in range(5):
        begin, end = prefixes.extensions().exp(), prefixes.ends().exp()
        for n, (number, prefix) in itertools.product(range(2), enumerate(known)):
            assert end[n, number] == pytest.approx(exact[n].get(prefix, 0.0), abs=1e-7)
            for c in (1, 2):
                longer = (*prefix, c)
                expected = sum(p for t, p in exact[n].items() if t[: len(longer)] == longer)
                assert begin[n, number, c] == pytest.approx(expected, abs=1e-7)
        chosen = torch.arange(len(known)).repeat_interleave(2).expand(2, -1)
        classes = torch.tensor([1, 2] * len(known)).expand(2, -1)
        prefixes.extend(torch.arange(2), chosen, classes)
        known = [(*prefix, c) for prefix in known for c in (1, 2)]


def test_whole_transcripts_have_the_probability_of_torchs_loss() -> None:
    frames, transcripts = [60, 41, 30], [[3, 3, 7, 1, 8], [1, 2, 1, 2, 2], [9, 9, 9, 9, 9]]
    log_probs = torch.stack([posteriors(60, 10, seed) for seed in range(3)]).double()
    loss = torch.nn.functional.ctc_loss(
        log_probs.mT.permute(2, 0, 1), torch.tensor(transcripts), tuple(frames), (5, 5, 5),
        reduction="none",
    )  # fmt: skip
    found = grown(log_probs, transcripts, frames).ends()[:, 0]
    assert found.tolist() == pytest.approx((-loss).tolist(), rel=1e-9)


def test_prefixes_are_scored_as_espnet_does() -> None:
    from espnet2.legacy.nets.ctc_prefix_score import CTCPrefixScore

    log_probs = posteriors(40, 12, 5).double()
    espnet = CTCPrefixScore(log_probs.numpy(), 0, 11, np)
    state, said, total = espnet.initial_state(), [11], 0.0
    for c in (4, 4, 9, 1):
        classes = np.arange(1, 11)
        scores, states = espnet(said, classes, state)
        ours = grown(log_probs[None], [said[1:]], [40]).extensions()[0, 0, 1:11]
        assert ours.tolist() == pytest.approx(scores.tolist(), abs=1e-6)
        state, total = states[c - 1], scores[c - 1]
        said.append(c)
    assert math.isfinite(total)


def test_thousands_of_frames_and_sure_frames_keep_their_digits() -> None:
    path = [c for n in range(1000) for c in (0, 1 + n % 7, 1 + n % 7)]
    logits = 30.0 * torch.nn.functional.one_hot(torch.tensor(path), 8).double()
    log_probs = (logits + torch.randn(3000, 8)).log_softmax(-1)
    transcript = [1 + n % 7 for n in range(1000)]
    loss = torch.nn.functional.ctc_loss(
        log_probs[:, None], torch.tensor([transcript]), (3000,), (1000,), reduction="sum"
    )
    found = float(grown(log_probs[None], [transcript], [3000]).ends())
    assert found == pytest.approx(-float(loss), abs=1e-8)


def test_a_token_that_ctc_has_no_class_for_changes_nothing() -> None:
    log_probs = posteriors(9, 4, 2)[None]
    one, other = (grown(log_probs, [t], [9]) for t in ([2, 3], [2, -1, 3, 0]))
    assert torch.equal(one.extensions(), other.extensions()) and torch.equal(one.last, other.last)


def test_too_few_frames_are_impossible() -> None:
    prefixes = grown(posteriors(2, 3, 0)[None], [[1, 1]], [2])
    assert float(prefixes.ends()) == -math.inf
    assert torch.isneginf(prefixes.extensions()).all()
