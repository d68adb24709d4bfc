"""OTReg: its loss against POT, its invariances, its edges, its statistics."""

from dataclasses import replace

import numpy as np
import ot
import pytest
import torch

from espnet_otreg.regularizers import OTRegConfig

TRANSCRIPTS, FRAMES = [[3, 5, 3, 7, 9], [4], [2, 6]], [12, 7, 1]


def value_and_gradient(batch, **settings):
    output = OTRegConfig(**settings).build()(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    return output.value.detach(), gradient


def test_value_equals_the_formula_with_a_plan_from_pot(make_batch, table):
    batch = make_batch([[3, 5, 3, 7]], [9])
    speech = batch.speech[0].detach().double()
    targets = table[[0, 3, 5, 7]].double()
    cost = 1 - torch.cosine_similarity(speech[:, None], targets[None], dim=-1).numpy()
    plan = ot.sinkhorn(np.full(9, 1 / 9), np.full(4, 1 / 4), cost, 0.1, method="sinkhorn_log")
    share = plan / plan.sum(1, keepdims=True)
    entropy = -(share * np.log(share)).sum(1).mean()
    value, _ = value_and_gradient(batch, tolerance=1e-6, max_iterations=2000)
    assert value.item() == pytest.approx((plan * cost).sum() + 0.1 * entropy, abs=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sparsity_weight": 0.0, "gradient": "envelope"},
        {"sparsity": "impurity"},
        {"sparsity": "spread"},
        {"plan": "sparse", "max_nonzeros": 2, "max_iterations": 200},
    ],
)
def test_gradient_moves_speech_towards_the_text(make_batch, settings):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    value, gradient = value_and_gradient(batch, **settings)
    step = torch.where(batch.speech_mask[:, :, None], batch.speech - 0.5 * gradient, 0)
    moved = replace(batch, speech=step.detach().requires_grad_())
    assert value_and_gradient(moved, **settings)[0] < value


def test_optimising_the_speech_brings_every_frame_to_a_target(make_batch):
    batch = make_batch([[3, 5, 7]], [12])
    speech = batch.speech.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([speech], lr=0.1)
    loss = OTRegConfig().build()
    for _ in range(200):
        optimizer.zero_grad()
        output = loss(replace(batch, speech=speech))
        output.value.backward()
        optimizer.step()
    assert output.statistics["otreg_cost"] < 0.05
    assert output.statistics["otreg_plan_entropy"] < 0.1
    alignment = loss.align(replace(batch, speech=speech))
    counts = alignment.solution.coupling[0].argmax(1).bincount(minlength=4)
    assert counts.tolist() == [3, 3, 3, 3]  # equal mass: equal numbers of frames


@pytest.mark.parametrize("settings", [{}, {"marginals": "norm"}, {"source_relaxation": 0.5}])
@pytest.mark.parametrize(
    "anchor",
    [{"anchor": False}, {}, {"anchor_mass": 0.3}, {"anchor_mass": "voice_activity"}],
)
def test_batch_equals_the_mean_of_its_utterances(make_batch, one_of, settings, anchor):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    value, gradient = value_and_gradient(batch, **settings, **anchor)
    assert gradient.isfinite().all() and (gradient[~batch.speech_mask] == 0).all()
    values = []
    for b, frames in enumerate(FRAMES):
        alone, own = value_and_gradient(one_of(batch, b), **settings, **anchor)
        values.append(alone)
        torch.testing.assert_close(gradient[b, :frames] * 3, own[0], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(value, torch.stack(values).mean(), rtol=1e-5, atol=1e-7)


def test_a_sparse_plan_gives_a_frame_at_most_k_targets(make_batch, one_of):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    config = OTRegConfig(plan="sparse", max_nonzeros=2, max_iterations=500)
    solution = config.build().align(batch).solution
    assert ((solution.coupling > 0).sum(2) <= 2).all()
    entropic = OTRegConfig().build().align(batch).solution
    assert ((entropic.coupling[0, 0] > 0).sum() > 2).all()
    alone = config.build().align(one_of(batch, 0)).solution
    torch.testing.assert_close(solution.coupling[0], alone.coupling[0], rtol=0, atol=1e-5)
    rows = batch.speech_mask / batch.speech_mask.sum(1, keepdim=True)
    torch.testing.assert_close(solution.coupling.sum(2), rows)


def test_repeating_or_reordering_words_changes_nothing(make_batch):
    value, gradient = value_and_gradient(make_batch([[3, 5, 7]], [9]))
    for transcript in ([3, 5, 3, 7, 7, 3], [7, 3, 5]):
        other, other_gradient = value_and_gradient(make_batch([transcript], [9]))
        torch.testing.assert_close(other, value, rtol=1e-5, atol=0)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-4, atol=1e-7)
    repeated = value_and_gradient(make_batch([[3, 5, 3, 7]], [9]), deduplicate="none")[0]
    assert not torch.isclose(repeated, value)


def test_scaling_embeddings_changes_nothing(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    scaled = replace(batch, speech=batch.speech * 30, text=batch.text * 0.1)
    value = OTRegConfig().build()(batch).value
    torch.testing.assert_close(OTRegConfig().build()(scaled).value, value)


def test_permuting_the_frames_permutes_the_gradient(make_batch):
    batch = make_batch([[3, 5, 7]], [9])
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    permuted = replace(batch, speech=batch.speech[:, order].detach().requires_grad_())
    value, gradient = value_and_gradient(batch)
    other, other_gradient = value_and_gradient(permuted)
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_gradient, gradient[:, order])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"anchor": False, "deduplicate": "none"},
        {"anchor_mass": 0.4, "marginals": "norm"},
        {"anchor_mass": "voice_activity"},
        {"source_relaxation": 0.2, "anchor": False},
        {"gradient": "unrolled"},
        {"gradient": "envelope", "sparsity_weight": 0.0},
        {"plan": "sparse", "max_nonzeros": 1},
        {"plan": "sparse", "sparsity": "impurity", "anchor": False},
        {"sparsity": "spread"},
    ],
)
@pytest.mark.parametrize(
    ("transcripts", "frames"),
    [
        ([[], [3, 5]], [6, 6]),  # empty transcript
        ([[], []], [6, 2]),  # nothing but empty transcripts
        ([[3], [4]], [1, 1]),  # one token, one frame
        ([[3, 4, 5, 6], [7]], [2, 3]),  # fewer frames than tokens
        ([[0, 0], [3]], [4, 4]),  # only the anchor in the transcript
        ([[3, 4], [5]], [0, 4]),  # no frame
    ],
)
def test_edges_are_finite(make_batch, transcripts, frames, settings):
    batch = make_batch(transcripts, frames)
    output = OTRegConfig(**settings).build()(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    assert output.value.isfinite() and gradient.isfinite().all()
    for name, statistic in output.statistics.items():
        assert statistic.isfinite() and not statistic.requires_grad, name


def test_an_empty_transcript_is_all_anchor(make_batch):
    batch = make_batch([[]], [6])
    statistics = OTRegConfig().build()(batch).statistics
    assert statistics["otreg_anchor_mass"] == statistics["otreg_anchor_frames"] == 1
    assert value_and_gradient(batch, anchor=False)[0] == 0


def test_zero_frames_get_no_gradient(make_batch):
    batch = make_batch([[3, 5]], [6])
    speech = batch.speech.detach().clone()
    speech[0, 2] = 0
    _, gradient = value_and_gradient(replace(batch, speech=speech.requires_grad_()))
    assert (gradient[0, 2] == 0).all() and gradient.isfinite().all()


def test_float32_whatever_autocast_says(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    value, gradient = value_and_gradient(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = OTRegConfig().build()(batch).value
        low = OTRegConfig().build()(replace(batch, text=batch.text.bfloat16())).value
    assert mixed.dtype == low.dtype == torch.float32
    assert torch.equal(mixed, value)
    assert torch.equal(torch.autograd.grad(mixed, batch.speech)[0], gradient)


def test_statistics(make_batch, table):
    batch = make_batch([[3, 5]], [4])
    speech = table[[3, 5, 3, 0]][None] * 2
    output = OTRegConfig(anchor_mass=0.25).build()(replace(batch, speech=speech))
    statistics = output.statistics
    assert set(statistics) == {
        "otreg_cost",
        "otreg_plan_entropy",
        "otreg_marginal_error",
        "otreg_iterations",
        "otreg_unconverged",
        "otreg_best_cosine",
        "otreg_anchor_mass",
        "otreg_anchor_frames",
    }
    silence = torch.cosine_similarity(table[[0]], table[[3, 5]]).max()
    torch.testing.assert_close(statistics["otreg_best_cosine"], (3 + silence) / 4)
    assert statistics["otreg_anchor_mass"].item() == pytest.approx(0.25, abs=1e-6)
    assert statistics["otreg_anchor_frames"] == 0.25
    assert statistics["otreg_unconverged"] in (0, 1)
    assert 1 <= statistics["otreg_iterations"] <= 50


def test_unconverged_problems_are_reported(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    config = OTRegConfig(max_iterations=1, tolerance=1e-9, epsilon=0.02)
    statistics = config.build()(batch).statistics
    assert statistics["otreg_unconverged"] > 0.3 and statistics["otreg_marginal_error"] > 0.01


def test_has_neither_parameters_nor_state():
    assert not hasattr(OTRegConfig().build(), "state_dict")
