"""Fitting loss and Monge gap: POT and GeomLoss as oracles, no pairing, padding, edges."""

from dataclasses import replace

import numpy as np
import ot
import pytest
import torch
from geomloss import SamplesLoss

from espnet_otreg.regularizers import MongeGapConfig
from espnet_otreg.regularizers.monge_loss import evenly_spaced

TRANSCRIPTS, FRAMES = [[3, 5, 3, 7], [4, 9]], [9, 6]
CONVERGED = {"max_iterations": 1000, "tolerance": 1e-5}


@pytest.fixture
def batch(make_batch):
    """Two utterances whose frames have moved since the training began."""
    now, start = make_batch(TRANSCRIPTS, FRAMES), make_batch(TRANSCRIPTS, FRAMES, seed=1)
    return replace(now, speech_at_start=start.speech.detach())


def output_and_gradient(batch, **settings):
    output = MongeGapConfig(**settings).build()(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    return output, gradient


def pooled(vectors, mask):
    return torch.nn.functional.normalize(vectors.detach()[mask].double(), dim=-1)


def test_fitting_loss_equals_geomloss_on_the_pooled_unit_vectors(batch):
    speech, text = pooled(batch.speech, batch.speech_mask), pooled(batch.text, batch.text_mask)
    targets = torch.cat([torch.nn.functional.normalize(batch.anchor, dim=0)[None], text])
    mass = torch.tensor([0.4, *[0.6 / len(text)] * len(text)], dtype=torch.float64)
    uniform = torch.full((len(speech),), 1 / len(speech), dtype=torch.float64)
    oracle = SamplesLoss("sinkhorn", p=2, blur=0.2**0.5, scaling=0.99, backend="tensorized")
    output, _ = output_and_gradient(batch, anchor_mass=0.4, fitting_epsilon=0.2, **CONVERGED)
    expected = oracle(uniform, speech, mass, targets.double())
    assert output.statistics["monge_gap_fitting"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_gap_comes_near_that_of_exact_transport(batch):
    start = pooled(batch.speech_at_start, batch.speech_mask)
    speech = pooled(batch.speech, batch.speech_mask)
    cost = ot.dist(start.numpy(), speech.numpy()) / 2
    uniform = np.full(len(cost), 1 / len(cost))
    exact = np.diag(cost).mean() - ot.emd2(uniform, uniform, cost)
    assert exact > 0.2
    output, _ = output_and_gradient(batch, gap_epsilon=0.005, **CONVERGED)
    assert output.statistics["monge_gap_of_map"].item() == pytest.approx(exact, abs=0.02)
    twice, _ = output_and_gradient(batch, gap_epsilon=0.005, gap_weight=2.0, **CONVERGED)
    torch.testing.assert_close(
        twice.value - output.value, output.statistics["monge_gap_of_map"], rtol=1e-4, atol=1e-6
    )


def test_nothing_moved_is_no_gap_and_an_exchange_is_one(batch):
    still = replace(batch, speech_at_start=batch.speech.detach())
    output, _ = output_and_gradient(still, **CONVERGED)
    assert output.statistics["monge_gap_moved"] == 0
    assert output.statistics["monge_gap_of_map"].abs() < 1e-3
    exchanged = replace(batch, speech_at_start=batch.speech.detach().clone())
    exchanged.speech_at_start[0, :2] = exchanged.speech_at_start[0, :2].flip(0)
    output, _ = output_and_gradient(exchanged, **CONVERGED)
    # Exchanging two of fifteen back would save all that was moved.
    moved = output.statistics["monge_gap_moved"]
    torch.testing.assert_close(output.statistics["monge_gap_of_map"], moved, rtol=0.01, atol=1e-3)
    assert moved > 0.05


def test_whose_transcript_it_is_never_matters(batch):
    dealt = replace(
        batch, text=batch.text.flip(0), text_ids=batch.text_ids.flip(0),
        text_mask=batch.text_mask.flip(0),
    )  # fmt: skip
    (own, gradient), (other, other_gradient) = map(output_and_gradient, (batch, dealt))
    torch.testing.assert_close(other.value, own.value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(other_gradient, gradient, rtol=1e-4, atol=1e-6)


def test_padding_gets_no_gradient_and_its_amount_never_matters(batch):
    _, gradient = output_and_gradient(batch)
    assert gradient.isfinite().all() and (gradient[~batch.speech_mask] == 0).all()
    wide = torch.nn.functional.pad
    padded = replace(
        batch,
        speech=wide(batch.speech.detach(), (0, 0, 0, 3), value=torch.nan).requires_grad_(),
        speech_at_start=wide(batch.speech_at_start, (0, 0, 0, 3), value=torch.nan),
        speech_mask=wide(batch.speech_mask, (0, 3)),
    )
    output, padded_gradient = output_and_gradient(padded)
    assert torch.equal(output.value, output_and_gradient(batch)[0].value)
    assert torch.equal(padded_gradient[:, :-3], gradient)


def test_gradient_lets_the_speech_come_to_the_text(make_batch, table):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    start = batch.speech.detach().clone()
    speech = batch.speech.detach().nan_to_num().requires_grad_()
    optimizer = torch.optim.Adam([speech], lr=0.2)
    values = []
    for _ in range(40):
        output = MongeGapConfig().build()(replace(batch, speech=speech, speech_at_start=start))
        optimizer.zero_grad()
        output.value.backward()
        optimizer.step()
        values.append(output.statistics["monge_gap_fitting"].item())
    assert values[-1] < 0.1 * values[0]
    near = torch.nn.functional.normalize(table, dim=-1)
    best = (torch.nn.functional.normalize(speech.detach(), dim=-1) @ near.T)[batch.speech_mask]
    assert set(best.argmax(-1).tolist()) <= {0, 3, 5, 7, 4, 9}


@pytest.mark.parametrize(
    ("transcripts", "frames"), [([[], []], [4, 2]), ([[3]], [1]), ([[3, 5], [4]], [0, 3])]
)
def test_edges_are_finite(make_batch, transcripts, frames):
    batch = make_batch(transcripts, frames)
    output, gradient = output_and_gradient(
        replace(batch, speech_at_start=batch.speech.detach().clone())
    )
    assert output.value.isfinite() and gradient.isfinite().all()


def test_a_batch_without_speech_counts_with_zero(make_batch):
    batch = make_batch([[3]], [1])
    none = replace(batch, speech_mask=~batch.speech_mask, speech_at_start=batch.speech.detach())
    assert MongeGapConfig().build()(none).value == 0


def test_evenly_spaced_points_are_taken_of_many():
    assert evenly_spaced(1000, 4, torch.device("cpu")).tolist() == [0, 250, 500, 750]
    assert evenly_spaced(0, 4, torch.device("cpu")).tolist() == []


def test_float32_whatever_autocast_says(batch):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = output_and_gradient(batch)
    assert output.value.dtype == torch.float32
    assert torch.equal(output.value, output_and_gradient(batch)[0].value)


def test_where_it_started_must_be_known(make_batch):
    with pytest.raises(ValueError, match="speech_at_start: expected"):
        MongeGapConfig().build()(make_batch([[3]], [2]))


def test_mistakes_in_the_configuration():
    errors = MongeGapConfig(
        gap_weight=-1, fitting_epsilon=0, gap_epsilon=0, anchor_mass=0, max_points=1,
        max_iterations=10, tolerance=-1,
    ).validate()  # fmt: skip
    assert [error.split(":")[0] for error in errors] == [
        "gap_weight", "fitting_epsilon", "gap_epsilon", "anchor_mass", "max_points",
        "max_iterations", "tolerance",
    ]  # fmt: skip
