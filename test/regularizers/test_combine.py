"""Regularizers in a training loop: weights, statistics, and the identity at weight 0."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from espnet_otreg.regularizers import (
    RegularizerConfig,
    RegularizerOutput,
    parse_regularizers,
    register_regularizer,
)
from espnet_otreg.regularizers.combine import apply_regularizers


class Dice:
    """A regularizer that uses every random generator and, if told so, returns NaN."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, batch):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        value = (batch.speech * self.value)[batch.speech_mask].sum()
        return RegularizerOutput(value, {"dice_noise": torch.tensor(noise)})


@register_regularizer("dice")
@dataclass(frozen=True)
class DiceConfig(RegularizerConfig):
    value: float = 1.0

    def build(self):
        return Dice(self.value)


NAN_DICE = {"dice": {"weight": 0, "value": float("nan")}}


def train(make_batch, regularizers, steps=20, anchor_factor=1.0):
    """Train a small projector with dropout; return everything that could differ."""
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    projector = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Dropout(0.2), nn.Linear(32, 16))
    optimizer = torch.optim.AdamW(projector.parameters(), lr=1e-2)
    batch = make_batch([[3, 5, 3, 7], [4, 9]], [12, 7])
    batch = replace(batch, anchor=batch.anchor * anchor_factor)
    features = torch.where(batch.speech_mask[:, :, None], batch.speech.detach(), 0)
    wanted = torch.randn(2, 16)
    named = parse_regularizers(regularizers)
    values = []
    for step in range(steps):
        optimizer.zero_grad()
        speech = projector(features + 0.1 * torch.randn_like(features))
        loss = (speech.mean(1) - wanted).square().mean()
        term, statistics = apply_regularizers(named, replace(batch, speech=speech), step)
        loss = loss if term is None else loss + term
        loss.backward()
        optimizer.step()
        values.append(statistics)
    state = [*projector.parameters(), *[p.grad for p in projector.parameters()]]
    for moments in optimizer.state.values():
        state += [moments["step"], moments["exp_avg"], moments["exp_avg_sq"]]
    generators = (torch.get_rng_state().tolist(), random.getstate(), np.random.rand())
    return [tensor.detach() for tensor in state], generators, values


@pytest.mark.parametrize(
    ("regularizers", "anchor_factor"),
    [
        ([{"otreg": {"weight": 0}}, {"ctc": {"weight": 0}}], 1.0),
        ([{"otreg": {"weight": 0}}], float("nan")),
        ([{"otreg": {"weight": 0.3, "start_step": 20}}], float("nan")),
        ([{"otreg": {"weight": 0, "gradient": "unrolled"}}], 1.0),
        ([NAN_DICE], 1.0),
        ([{"dice": {"value": float("inf"), "start_step": 100}}, {"otreg": {"weight": 0}}], 1.0),
    ],
)
def test_inactive_regularizers_leave_training_bit_for_bit_alone(
    make_batch, regularizers, anchor_factor
):
    plain = train(make_batch, [])
    observed = train(make_batch, regularizers, anchor_factor=anchor_factor)
    assert all(torch.equal(a, b) for a, b in zip(plain[0], observed[0], strict=True))
    assert plain[1] == observed[1]
    name = next(iter(regularizers[0]))
    assert all(name in statistics for statistics in observed[2])
    assert all(statistics[f"{name}_weighted"] == 0 for statistics in observed[2])
    if anchor_factor != 1:
        assert observed[2][-1]["otreg"].isnan()


def test_an_active_regularizer_changes_training_and_lowers_its_value(make_batch):
    plain = train(make_batch, [{"otreg": {"weight": 0}}])
    active = train(make_batch, [{"otreg": {"weight": 1.0}}])
    assert not torch.equal(plain[0][0], active[0][0])
    assert active[2][-1]["otreg"] < plain[2][-1]["otreg"]


def test_before_start_step_training_is_the_plain_one_and_then_it_is_not(make_batch):
    late = [{"otreg": {"weight": 1.0, "start_step": 5}}]
    for steps, equal in ((5, True), (6, False)):
        plain, started = train(make_batch, [], steps), train(make_batch, late, steps)
        assert torch.equal(plain[0][0], started[0][0]) == equal


def test_terms_are_weighted_and_summed(make_batch):
    batch = make_batch([[3, 5]], [6])
    named = parse_regularizers(
        [{"otreg": {"weight": 0.5, "warmup_steps": 10}}, {"ctc": {"weight": 2}}, NAN_DICE]
    )
    term, statistics = apply_regularizers(named, batch, step=4)
    assert term is not None and term.requires_grad
    torch.testing.assert_close(statistics["otreg_weighted"], 0.25 * statistics["otreg"])
    torch.testing.assert_close(statistics["ctc_weighted"], 2 * statistics["ctc"])
    total = statistics["otreg_weighted"] + statistics["ctc_weighted"]
    torch.testing.assert_close(term.detach(), total)
    assert statistics["dice"].isnan() and statistics["dice_weighted"] == 0
    assert not any(value.requires_grad for value in statistics.values())


def test_outside_training_there_are_statistics_only(make_batch):
    batch = make_batch([[3, 5]], [6])
    named = parse_regularizers(["otreg"])
    term, statistics = apply_regularizers(named, batch, step=4, training=False)
    reference = apply_regularizers(named, batch, step=4)[1]
    assert term is None and statistics["otreg_weighted"] == 0
    assert torch.equal(statistics["otreg"], reference["otreg"])


def test_no_regularizer_no_term(make_batch):
    assert apply_regularizers([], make_batch([[3]], [4]), step=0) == (None, {})


def test_autocast_does_not_reach_the_regularizers(make_batch):
    batch = make_batch([[3, 5]], [6])
    named = parse_regularizers(["otreg", "ctc"])
    term, _ = apply_regularizers(named, batch, step=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = apply_regularizers(named, batch, step=0)
    assert term is not None and mixed is not None and torch.equal(term, mixed)
