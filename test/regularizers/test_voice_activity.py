"""Voice activity: silent frames by enumeration of runs, the anchor's mass in the plan."""

from dataclasses import replace
from itertools import groupby, product

import pytest
import torch

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.regularizers import OTRegConfig
from espnet_otreg.regularizers.voice_activity import silent_frames, silent_share
from espnet_otreg.slm.config import parse_slm_config

CONFIG = OTRegConfig(anchor_mass="voice_activity", max_iterations=500, tolerance=1e-6)


def by_runs(blank):
    """Number of silent frames: runs of blanks, less one frame where a token is beside the run."""
    runs = [(key, len(list(members))) for key, members in groupby(blank)]
    silent = 0
    for index, (is_blank, length) in enumerate(runs):
        if is_blank:
            silent += max(0, length - (index > 0) - (index < len(runs) - 1))
    return silent


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_silent_frames_are_the_insides_of_runs_of_blanks(length):
    paths = torch.tensor(list(product([False, True], repeat=length)))
    found = silent_frames(paths, torch.ones_like(paths))
    assert found.sum(1).tolist() == [by_runs(path) for path in paths.tolist()]
    assert not (found & ~paths).any()
    # Tokens or blanks in what is padding make no difference.
    for padding in (torch.ones, torch.zeros):
        longer = torch.cat([paths, padding(len(paths), 3, dtype=torch.bool)], dim=1)
        mask = (torch.arange(length + 3) < length).expand_as(longer)
        padded = silent_frames(longer, mask)
        assert torch.equal(padded[:, :length], found) and not padded[:, length:].any()


def spelling(make_batch, table, paths, transcript=(3, 5)):
    """A batch whose frames lie exactly at the tokens of each path; 0 is the anchor."""
    lengths = [len(path) for path in paths]
    batch = make_batch([list(transcript)] * len(paths), lengths)
    speech = torch.full_like(batch.speech, torch.nan)
    for row, path in zip(speech, paths, strict=True):
        row[: len(path)] = table[list(path)]
    return replace(batch, speech=speech.requires_grad_())


def test_share_of_silence_of_each_utterance(make_batch, table):
    paths = [(0, 0, 0, 3, 0, 5, 0, 0), (0, 0, 0, 0), (3, 5, 3), (0,), (7,), (3, 0, 0, 0, 0, 5)]
    batch = spelling(make_batch, table, paths)
    shares = silent_share(batch)
    # All silence and all speech keep half a frame of the other; so does a single frame.
    assert shares.tolist() == pytest.approx([3 / 8, 3.5 / 4, 0.5 / 3, 0.5, 0.5, 2 / 6])
    assert shares.dtype == torch.float32


def test_without_frames_the_share_is_one_that_transport_can_take(make_batch):
    shares = silent_share(make_batch([[3], [4]], [0, 4]))
    assert ((shares > 0) & (shares < 1)).all()


def test_the_plan_gives_the_anchor_that_mass_and_no_other_utterance_matters(
    make_batch, table, one_of
):
    paths = [(0, 0, 0, 3, 0, 5, 0, 0), (3, 3, 5, 5), (0, 0, 5, 0, 0, 0)]
    batch = spelling(make_batch, table, paths)
    coupling = CONFIG.build().align(batch).solution.coupling
    torch.testing.assert_close(coupling[:, :, 0].sum(1), silent_share(batch))
    torch.testing.assert_close(coupling.sum((1, 2)), torch.ones(3))
    for b in range(3):
        alone = CONFIG.build().align(one_of(batch, b)).solution.coupling
        torch.testing.assert_close(coupling[b, : len(paths[b])], alone[0], rtol=1e-4, atol=1e-6)


def test_the_share_is_a_constant_to_the_gradient(make_batch, table):
    batch = spelling(make_batch, table, [(0, 0, 0, 3, 0, 5, 0, 0)])
    generator = torch.Generator().manual_seed(3)
    noisy = batch.speech.detach() + 0.3 * torch.randn(batch.speech.shape, generator=generator)
    batch = replace(batch, speech=noisy.requires_grad_())
    share = silent_share(batch)
    assert not share.requires_grad
    fixed = replace(CONFIG, anchor_mass=share.item())
    values = [config.build()(batch).value for config in (CONFIG, fixed)]
    gradients = [torch.autograd.grad(value, batch.speech)[0] for value in values]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


def test_a_model_without_token_classes_is_refused(make_batch):
    batch = replace(make_batch([[3]], [6]), readout=None)
    with pytest.raises(UserError, match="voice_activity needs the token read-out"):
        CONFIG.build()(batch)
    values = {"llm_conf": {"model": "exp/llm"}}
    otreg = {"regularizers": [{"otreg": {"anchor_mass": "voice_activity"}}]}
    with pytest.raises(ConfigErrors, match="readout_conf.classes: missing"):
        parse_slm_config({**values, **otreg})
    parse_slm_config({**values, **otreg, "readout_conf": {"classes": "classes.json"}})
    parse_slm_config({**values, "regularizers": [{"otreg": {"anchor_mass": 0.3}}]})
