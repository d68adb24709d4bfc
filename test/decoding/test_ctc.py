"""CTC on problems so small that every alignment can be written down."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor

from espnet_otreg.decoding.ctc import IMPOSSIBLE, best_paths, ctc_log_probs, prefix_beam_search


def posteriors(frames: int, classes: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(frames, classes, generator=generator)).log_softmax(dim=-1)


def every_transcript(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """Probability of every transcript, by enumerating all classes ** frames alignments."""
    frames, classes = log_probs.shape
    total: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(classes), repeat=frames):
        probability = math.exp(sum(float(log_probs[s, c]) for s, c in enumerate(path)))
        merged = [c for c, _ in itertools.groupby(path)]
        total[tuple(c for c in merged if c != 0)] += probability
    return total


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_that_holds_everything_is_exact(seed: int) -> None:
    log_probs = posteriors(5, 4, seed)
    exact = sorted(every_transcript(log_probs).items(), key=lambda item: -item[1])
    found = prefix_beam_search(log_probs.exp(), beam=10_000, n_best=20)
    assert [classes for classes, _ in found] == [classes for classes, _ in exact[:20]]
    for (_, score), (_, probability) in zip(found, exact, strict=False):
        assert score == pytest.approx(math.log(probability), abs=1e-3)  # unlikely classes are cut


@pytest.mark.parametrize("seed", range(3))
def test_forward_probabilities_are_sums_over_all_alignments(seed: int) -> None:
    log_probs = posteriors(5, 3, seed)
    exact = every_transcript(log_probs)
    transcripts = sorted(exact)
    found = ctc_log_probs(log_probs, [list(t) for t in transcripts])
    for transcript, score in zip(transcripts, found, strict=True):
        assert score == pytest.approx(math.log(exact[transcript]), abs=1e-4)


def test_forward_probabilities_equal_the_loss_of_torch() -> None:
    log_probs = posteriors(30, 9, 0)
    targets = [[1, 2, 2, 3], [8], []]
    for target, score in zip(targets, ctc_log_probs(log_probs, targets), strict=True):
        loss = torch.nn.functional.ctc_loss(
            log_probs[:, None], torch.tensor([target]), (30,), (len(target),), reduction="sum"
        )
        assert score == pytest.approx(-float(loss), rel=1e-5)


def test_too_few_frames_are_impossible_but_finite() -> None:
    assert ctc_log_probs(posteriors(2, 3, 0), [[1, 1], [1, 2, 1]]) == [IMPOSSIBLE, IMPOSSIBLE]


def test_a_narrow_beam_finds_what_the_best_path_misses() -> None:
    # Both frames prefer the blank, but "a" has more probability in its three alignments.
    probs = torch.tensor([[0.6, 0.4], [0.6, 0.4]])
    assert best_paths(probs.log()[None], torch.ones(1, 2, dtype=torch.bool))[0][0] == []
    assert prefix_beam_search(probs, beam=2, n_best=1)[0][0] == (1,)


def test_long_utterances_do_not_underflow() -> None:
    log_probs = posteriors(3000, 20, 1)
    [(classes, score)] = prefix_beam_search(log_probs.exp(), beam=4, n_best=1)
    assert len(classes) > 100
    assert score <= ctc_log_probs(log_probs, [list(classes)])[0] + 1e-2
    assert math.isfinite(score)


def test_best_paths_merge_repetitions_and_do_not_see_padding() -> None:
    path = torch.tensor([[1, 1, 0, 1, 2, 2], [3, 3, 0, 0, 2, 2]])
    log_probs = torch.nn.functional.one_hot(path, 4).float().log_softmax(dim=-1)
    mask = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    found = best_paths(log_probs, mask)
    assert [classes for classes, _ in found] == [[1, 1, 2], [3]]
    alone = best_paths(log_probs[1:, :3], mask[1:, :3])
    assert found[1][1] == pytest.approx(alone[0][1])
