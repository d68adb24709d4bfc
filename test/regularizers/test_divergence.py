"""Divergence with positions: GeomLoss as oracle, order, padding, edges."""

from dataclasses import replace

import pytest
import torch
from geomloss import SamplesLoss

from espnet_otreg.regularizers import DivergenceConfig

CONVERGED = {"max_iterations": 2000, "tolerance": 1e-6}


def value_and_gradient(batch, **settings):
    output = DivergenceConfig(**settings).build()(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    return output.value.detach(), gradient


@pytest.mark.parametrize("normalize", [False, True])
def test_equals_geomloss_with_a_coordinate_for_the_position(make_batch, normalize):
    batch = make_batch([[3, 5, 3, 7]], [9])
    points = []
    for side in (batch.speech[0].detach(), batch.text[0]):
        side = torch.nn.functional.normalize(side, dim=-1) if normalize else side
        points.append(torch.cat([side, 0.7 * torch.linspace(0, 1, len(side))[:, None]], dim=1))
    oracle = SamplesLoss("sinkhorn", p=2, blur=0.5, scaling=0.99, backend="tensorized")
    settings = {"blur": 0.5, "position_weight": 0.7, "normalize": normalize, **CONVERGED}
    value, _ = value_and_gradient(batch, **settings)
    torch.testing.assert_close(value, oracle(*points), rtol=1e-3, atol=1e-3)


def test_speech_that_says_the_transcript_is_at_zero_and_backwards_is_not(make_batch, table):
    batch = make_batch([[3, 5, 7, 9]], [4])
    said = table[[3, 5, 7, 9]][None].clone().requires_grad_()
    assert value_and_gradient(replace(batch, speech=said))[0].abs() < 1e-5
    backwards = said.detach().flip(1).requires_grad_()
    assert value_and_gradient(replace(batch, speech=backwards), **CONVERGED)[0] > 0.01
    free = {"position_weight": 0.0, **CONVERGED}
    assert value_and_gradient(replace(batch, speech=backwards), **free)[0].abs() < 1e-4


def test_batch_equals_the_mean_of_its_utterances(make_batch, one_of):
    frames = [12, 7, 1]
    batch = make_batch([[3, 5, 3, 7, 9], [4], [2, 6]], frames)
    settings = {"blur": 0.5}
    value, gradient = value_and_gradient(batch, **settings)
    assert gradient.isfinite().all() and (gradient[~batch.speech_mask] == 0).all()
    values = []
    for b, count in enumerate(frames):
        alone, own = value_and_gradient(one_of(batch, b), **settings)
        values.append(alone)
        # Padding changes the order of float32's sums; components are a difference of near equals.
        torch.testing.assert_close(gradient[b, :count] * 3, own[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(value, torch.stack(values).mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("transcripts", "frames"), [([[], [3, 5]], [6, 6]), ([[3], [4]], [1, 1]), ([[3], [5]], [0, 4])]
)
def test_edges_are_finite(make_batch, transcripts, frames):
    value, gradient = value_and_gradient(make_batch(transcripts, frames))
    assert value.isfinite() and gradient.isfinite().all()


def test_float32_whatever_autocast_says(make_batch):
    batch = make_batch([[3, 5]], [6])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, _ = value_and_gradient(batch)
    assert value.dtype == torch.float32
    assert torch.equal(value, value_and_gradient(batch)[0])


def test_mistakes_in_the_configuration():
    errors = DivergenceConfig(
        blur=0, position_weight=-1, max_iterations=10, tolerance=-1
    ).validate()
    assert [error.split(":")[0] for error in errors] == [
        "blur", "position_weight", "max_iterations", "tolerance",
    ]  # fmt: skip
