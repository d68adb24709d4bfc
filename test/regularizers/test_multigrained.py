"""Multi-grained alignment: POT and cross-entropy as oracles, invariances, edges, two processes."""

from dataclasses import replace

import numpy as np
import ot
import pytest
import torch
import torch.nn.functional as F

from espnet_otreg.regularizers import MultigrainedConfig

# The third says what the first does.
TRANSCRIPTS, FRAMES = [[3, 5, 3, 7, 9], [4, 5], [3, 5, 3, 7, 9], [2, 6, 8]], [20, 7, 15, 1]
LEVELS = ("token", "segment", "utterance")
CONVERGED = {"max_iterations": 5000, "tolerance": 1e-7}


def only(level):
    return {f"{other}_weight": float(other == level) for other in LEVELS}


def value_and_gradient(batch, **settings):
    output = MultigrainedConfig(**settings).build()(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    return output.value.detach(), gradient


def loss_by_cross_entropy(pairs, temperature=0.1):
    """Of (utterance, labels, weight, speech, text): the candidates written out for every pair."""
    total = 0.0
    for utterance, labels, weight, speech, text in pairs:
        others = [p for p in pairs if p[0] != utterance and not set(labels) & set(p[1])]
        first = torch.tensor(0)
        texts = torch.stack([text, *(p[4] for p in others)])
        frames = torch.stack([speech, *(p[3] for p in others)])
        rows = F.cross_entropy(torch.cosine_similarity(speech, texts) / temperature, first)
        columns = F.cross_entropy(torch.cosine_similarity(frames, text) / temperature, first)
        total += weight * (rows + columns) / 2
    return total


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("anchor_mass", [None, 0.4])
def test_value_equals_the_formula_with_plans_from_pot(make_batch, table, level, anchor_mass):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    pairs = []
    for b, (transcript, frames) in enumerate(zip(TRANSCRIPTS, FRAMES, strict=True)):
        tokens = sorted(set(transcript))
        speech = batch.speech[b, :frames].detach().double()
        targets = table[[0, *tokens]].double()
        cost = 1 - torch.cosine_similarity(speech[:, None], targets[None], dim=-1).numpy()
        share = 1 / (len(tokens) + 1) if anchor_mass is None else anchor_mass
        mass = np.array([share, *[(1 - share) / len(tokens)] * len(tokens)])
        plan = ot.sinkhorn(
            np.full(frames, 1 / frames), mass, cost, 0.1, "sinkhorn_log", 10000, 1e-10
        )
        plan = torch.from_numpy(plan)[:, 1:]
        said, name = plan.sum(1), str(transcript)
        if level == "token":
            for j, token in enumerate(tokens):
                heard = plan[:, j] @ speech / plan[:, j].sum()
                pairs.append((b, [name, token], 1 / len(tokens), heard, targets[j + 1]))
        elif level == "utterance":
            mean = table[transcript].double().mean(0)
            pairs.append((b, [name], 1, said @ speech / said.sum(), mean))
        else:
            for i in range(0, frames, 5):  # 0.2 seconds
                total = said[i : i + 5].sum()
                heard = said[i : i + 5] @ speech[i : i + 5] / total
                multi_token = plan[i : i + 5].sum(0) @ targets[1:] / total
                pairs.append((b, [name], total / said.sum(), heard, multi_token))
    settings = {"anchor_mass": anchor_mass, "segment_seconds": 0.2, **only(level), **CONVERGED}
    value, _ = value_and_gradient(batch, **settings)
    assert value.item() == pytest.approx(float(loss_by_cross_entropy(pairs)) / 4, rel=1e-4)


def test_levels_add_up_by_their_weights(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    each = torch.stack([value_and_gradient(batch, **only(level))[0] for level in LEVELS])
    weights = {"token_weight": 0.5, "segment_weight": 2.0, "utterance_weight": 3.0}
    value, _ = value_and_gradient(batch, **weights)
    torch.testing.assert_close(value, each @ torch.tensor([0.5, 2.0, 3.0]))


@pytest.mark.parametrize("level", LEVELS)
def test_gradient_equals_finite_differences(make_batch, level):
    batch = make_batch([[3, 5], [4], [5, 6]], [6, 3, 5])
    batch = replace(batch.without_padding(), text=batch.text.double(), anchor=batch.anchor.double())
    # Without an anchor the weights, which are constants, are those of the frames.
    settings = {"anchor": False, "segment_seconds": 0.08, "temperature": 0.5, **only(level)}
    loss = MultigrainedConfig(**settings, **CONVERGED).build()
    speech = batch.speech.detach().double().requires_grad_()

    def value(speech):
        return loss(replace(batch, speech=speech)).value

    assert value(speech).dtype == torch.float64
    assert torch.autograd.gradcheck(value, speech, eps=1e-4, atol=1e-4, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize("transcripts", [[[3, 5, 7]], [[3, 5, 7]] * 3, [[], [3], []]])
def test_one_utterance_or_one_sentence_has_no_negatives(make_batch, transcripts):
    value, gradient = value_and_gradient(make_batch(transcripts, [9, 4, 6][: len(transcripts)]))
    assert value == 0 and (gradient == 0).all()


def test_a_token_that_both_sentences_have_is_no_negative(make_batch):
    # The sentences differ, their tokens do not.
    batch = make_batch([[3, 3], [3]], [4, 4])
    assert value_and_gradient(batch, **only("token"))[0] == 0
    assert value_and_gradient(batch, **only("utterance"))[0] > 0.01


def test_the_amount_of_padding_does_not_matter(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    value, gradient = value_and_gradient(batch)
    assert gradient.isfinite().all() and (gradient[~batch.speech_mask] == 0).all()
    longer = replace(
        batch,
        speech=F.pad(batch.speech.detach(), (0, 0, 0, 43), value=torch.nan).requires_grad_(),
        speech_mask=F.pad(batch.speech_mask, (0, 43)),
        text=F.pad(batch.text, (0, 0, 0, 3), value=torch.nan),
        text_ids=F.pad(batch.text_ids, (0, 3), value=4),
        text_mask=F.pad(batch.text_mask, (0, 3)),
    )
    padded, padded_gradient = value_and_gradient(longer)
    torch.testing.assert_close(padded, value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(padded_gradient[:, :20], gradient, rtol=1e-4, atol=1e-6)


def test_scaling_and_the_order_of_utterances_change_nothing(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    value, gradient = value_and_gradient(batch)
    scaled = replace(batch, speech=batch.speech * 30, text=batch.text * 0.1)
    torch.testing.assert_close(MultigrainedConfig().build()(scaled).value, value)
    order = [2, 0, 3, 1]
    fields = ("speech", "speech_mask", "text", "text_ids", "text_mask")
    turned = replace(batch, **{name: getattr(batch, name)[order].detach() for name in fields})
    turned.speech.requires_grad_()
    other, other_gradient = value_and_gradient(turned)
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_gradient, gradient[order])


@pytest.mark.parametrize("level", LEVELS)
def test_optimising_the_speech_makes_every_pair_find_its_partner(make_batch, level):
    batch = make_batch([[3, 5, 7], [4, 6], [8, 9, 3]], [12, 8, 10])
    speech = batch.speech.detach().nan_to_num().requires_grad_()
    optimizer = torch.optim.Adam([speech], lr=0.1)
    loss = MultigrainedConfig(segment_seconds=0.08, **only(level)).build()
    for _ in range(60):
        optimizer.zero_grad()
        output = loss(replace(batch, speech=speech))
        output.value.backward()
        optimizer.step()
    assert output.value < 0.2
    assert output.statistics[f"multigrained_{level}_accuracy"] == pytest.approx(1)


@pytest.mark.parametrize("settings", [{}, {"anchor": False}, {"anchor_mass": 0.4}])
@pytest.mark.parametrize(
    ("transcripts", "frames"),
    [
        ([[], [3, 5]], [6, 6]),  # empty transcript
        ([[], []], [6, 2]),  # nothing but empty transcripts
        ([[3], [4]], [1, 1]),  # one token, one frame
        ([[3, 4, 5, 6], [7]], [2, 3]),  # fewer frames than tokens
        ([[0, 0], [3]], [4, 4]),  # only the anchor in the transcript
        ([[3, 4], [5]], [0, 4]),  # no frame
        ([[3, 4], [5], [6, 7]], [60, 1, 13]),
    ],
)
def test_edges_are_finite(make_batch, transcripts, frames, settings):
    batch = make_batch(transcripts, frames)
    output = MultigrainedConfig(**settings).build()(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    assert output.value.isfinite() and gradient.isfinite().all()
    for name, statistic in output.statistics.items():
        assert statistic.isfinite() and not statistic.requires_grad, name


def test_zero_frames_are_finite(make_batch):
    batch = make_batch([[3, 5], [4]], [6, 5])
    speech = batch.speech.detach().clone()
    speech[0, 2] = speech[1] = 0
    value, gradient = value_and_gradient(replace(batch, speech=speech.requires_grad_()))
    assert value.isfinite() and gradient.isfinite().all()
    assert (gradient[1] == 0).all() and (gradient[0, :6] != 0).any(1).all()


def test_float32_whatever_autocast_says(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    value, gradient = value_and_gradient(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = MultigrainedConfig().build()(batch).value
        low = value_and_gradient(replace(batch, text=batch.text.bfloat16()))[0]
    assert mixed.dtype == low.dtype == torch.float32
    assert torch.equal(mixed, value)
    assert torch.equal(torch.autograd.grad(mixed, batch.speech)[0], gradient)


def test_statistics(make_batch, table):
    transcripts = [[3, 5], [4, 6], [7]]
    batch = make_batch(transcripts, [4, 4, 4])
    said = torch.stack([table[[3, 3, 5, 5]], table[[4, 4, 6, 6]], table[[7] * 4]])
    loss = MultigrainedConfig(anchor=False, segment_seconds=0.08).build()
    right = loss(replace(batch, speech=said)).statistics
    assert set(right) == {
        "multigrained_unconverged",
        *(f"multigrained_{level}{kind}" for level in LEVELS for kind in ("", "_accuracy")),
    }
    wrong = loss(replace(batch, speech=said[[1, 2, 0]])).statistics
    for level in LEVELS:
        assert right[f"multigrained_{level}_accuracy"] == pytest.approx(1)
        assert wrong[f"multigrained_{level}_accuracy"] < 0.5
        assert right[f"multigrained_{level}"] < 0.2 < wrong[f"multigrained_{level}"]
    alone = MultigrainedConfig(**only("token")).build()(batch).statistics
    assert "multigrained_token" in alone and "multigrained_segment" not in alone


def test_has_neither_parameters_nor_state():
    assert not hasattr(MultigrainedConfig().build(), "state_dict")


def test_mistakes_in_the_configuration():
    errors = MultigrainedConfig(
        token_weight=-1,
        segment_weight=float("nan"),
        temperature=0,
        segment_seconds=0,
        epsilon=0,
        max_iterations=0,
        tolerance=-1,
        anchor=False,
        anchor_mass=1.0,
    ).validate()
    assert [error.split(":")[0] for error in errors] == [
        "token_weight", "segment_weight", "temperature", "segment_seconds", "epsilon",
        "max_iterations", "tolerance", "anchor_mass", "anchor_mass",
    ]  # fmt: skip
    (error,) = MultigrainedConfig(token_weight=0, segment_weight=0, utterance_weight=0).validate()
    assert "all are 0" in error
