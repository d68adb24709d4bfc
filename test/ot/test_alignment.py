"""Alignments read off a plan: known cases, exhaustive enumeration."""

from itertools import combinations

import pytest
import torch

from espnet_otreg.ot import Span, hard_alignment, monotonic_alignment, spans


def test_hard_alignment_and_its_spans():
    plan = torch.tensor([[0.3, 0.1], [0.2, 0.1], [0.0, 0.0], [0.0, 0.4], [0.4, 0.0]])
    alignment = hard_alignment(plan)
    assert alignment.tolist() == [0, 0, -1, 1, 0]
    assert spans(alignment) == [Span(0, 0, 2), Span(1, 3, 4), Span(0, 4, 5)]
    assert spans(torch.empty(0, dtype=torch.long)) == []


def every_path(sources, targets):
    """All ways through the targets in order: where each but the first begins."""
    for starts in combinations(range(1, sources), targets - 1):
        yield [sum(start <= i for start in starts) for i in range(sources)]


@pytest.mark.parametrize("sizes", [(1, 1), (4, 1), (4, 4), (6, 3), (8, 5)])
def test_monotonic_alignment_equals_exhaustive_search(sizes):
    sources, targets = sizes
    plan = torch.rand(sources, targets, generator=torch.Generator().manual_seed(sources))
    best = max(
        every_path(sources, targets),
        key=lambda path: sum(plan[i, t].log() for i, t in enumerate(path)),
    )
    # The same in a padded batch, beside another problem.
    padded = torch.full((2, sources + 2, targets + 1), 9.0)
    padded[0, :sources, :targets] = plan
    source_mask = torch.ones(2, sources + 2).bool()
    target_mask = torch.ones(2, targets + 1).bool()
    source_mask[0, sources:], target_mask[0, targets:] = False, False
    found = monotonic_alignment(padded, source_mask, target_mask)
    assert found[0].tolist() == [*best, -1, -1]


def test_what_cannot_be_aligned_is_left_out():
    plan, yes = torch.ones(1, 2, 3), torch.ones(1, 3).bool()
    assert monotonic_alignment(plan, yes[:, :2], yes).tolist() == [[-1, -1]]
    assert monotonic_alignment(plan, yes[:, :2], ~yes).tolist() == [[-1, -1]]
    assert monotonic_alignment(plan[:, :, :0], yes[:, :2], yes[:, :0]).tolist() == [[-1, -1]]
