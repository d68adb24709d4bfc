"""De-duplication and masses of the targets."""

import pytest
import torch

from espnet_otreg.regularizers.targets import first_by_id, make_targets, norm_mass


def targets_of(batch, anchor=True, anchor_mass=None, deduplicate="token_id", marginals="uniform"):
    return make_targets(batch, anchor, anchor_mass, deduplicate, marginals)


def test_each_token_once_the_anchor_first(make_batch):
    targets = targets_of(make_batch([[3, 5, 3, 3], [0, 4]], [6, 6]))
    assert targets.ids.tolist() == [[0, 3, 5, 3, 3], [0, 0, 4, -1, -1]]
    assert targets.mask.int().tolist() == [[1, 1, 1, 0, 0], [1, 0, 1, 0, 0]]
    torch.testing.assert_close(targets.mass, targets.mask / torch.tensor([[3.0], [2.0]]))
    assert targets.token_mask.int().tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 0, 0]]


def test_without_anchor_or_deduplication(make_batch):
    targets = targets_of(make_batch([[3, 5, 3]], [6]), anchor=False, deduplicate="none")
    assert targets.ids.tolist() == [[3, 5, 3]] and targets.mask.all()
    assert targets.token_mask is targets.mask


def test_an_id_seen_only_in_padding_does_not_count():
    ids = torch.tensor([[4, 4, 5]])
    assert first_by_id(ids, torch.tensor([[False, True, True]])).tolist() == [[False, True, True]]


def test_own_mass_of_the_anchor(make_batch):
    batch = make_batch([[3, 5, 3], []], [6, 6])
    targets = targets_of(batch, anchor_mass=0.4)
    expected = torch.tensor([[0.4, 0.3, 0.3, 0.0], [1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(targets.mass, expected)


def test_each_utterance_may_have_its_own_mass_of_the_anchor(make_batch):
    batch = make_batch([[3, 5, 3], [], [4]], [6, 6, 6])
    shares = torch.tensor([[0.4], [0.2], [0.75]])
    expected = torch.tensor([[0.4, 0.3, 0.3, 0.0], [1.0, 0.0, 0.0, 0.0], [0.75, 0.25, 0.0, 0.0]])
    torch.testing.assert_close(targets_of(batch, anchor_mass=shares).mass, expected)
    equal = targets_of(batch, anchor_mass=torch.full((3, 1), 0.4)).mass
    assert torch.equal(equal, targets_of(batch, anchor_mass=0.4).mass)


@pytest.mark.parametrize("anchor_mass", [None, 0.4])
def test_norm_mass_follows_the_norms(make_batch, table, anchor_mass):
    targets = targets_of(make_batch([[3, 5]], [6]), anchor_mass=anchor_mass, marginals="norm")
    norms = table[[0, 3, 5]].norm(dim=1)
    torch.testing.assert_close(targets.mass[0, 2] / targets.mass[0, 1], norms[2] / norms[1])
    torch.testing.assert_close(targets.mass.sum(), torch.tensor(1.0))
    if anchor_mass:
        torch.testing.assert_close(targets.mass[0, 0], torch.tensor(0.4))


def test_norm_mass_of_zero_vectors_is_uniform():
    mass = norm_mass(torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool))
    assert mass.tolist() == [[0.5, 0.5]]
