"""CTC: torch's loss with an explicit matrix as oracle, honest counting, edges."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from espnet_otreg.errors import UserError
from espnet_otreg.regularizers import CTCConfig
from espnet_otreg.regularizers.ctc_loss import frames_needed

TRANSCRIPTS, FRAMES = [[3, 5, 3, 7], [4, 4], [2]], [12, 7, 3]


def ctc(batch):
    return CTCConfig().build()(batch)


def explicit_loss(speech, table, readout, transcript):
    """CTC of one utterance with the output matrix written out."""
    matrix = F.normalize(table[:12], dim=1) * readout.log_scale.exp()
    log_probs = (F.normalize(speech, dim=1) @ matrix.T).log_softmax(-1)
    target, lengths = (
        torch.tensor(transcript),
        (torch.tensor(len(speech)), torch.tensor(len(transcript))),
    )
    return F.ctc_loss(log_probs, target, *lengths, blank=0, reduction="sum") / len(transcript)


def test_equals_torch_ctc_with_the_explicit_matrix(make_batch, one_of, table):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    output = ctc(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    assert (gradient[~batch.speech_mask] == 0).all()
    losses = []
    for b, (transcript, frames) in enumerate(zip(TRANSCRIPTS, FRAMES, strict=True)):
        speech = batch.speech[b, :frames].detach().requires_grad_()
        losses.append(explicit_loss(speech, table, batch.readout, transcript))
        (own,) = torch.autograd.grad(losses[-1], speech, retain_graph=True)
        torch.testing.assert_close(3 * gradient[b, :frames], own, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ctc(one_of(batch, b)).value, losses[-1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(output.value, torch.stack(losses).mean(), rtol=1e-5, atol=1e-6)
    assert all(share == 0 for share in output.statistics.values())


def test_the_temperature_is_trained_and_the_table_is_not(make_batch, table):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    table.requires_grad_()
    ctc(batch).value.backward()
    assert batch.readout.log_scale.grad != 0 and table.grad is None


def test_learns_to_spell(make_batch):
    batch = make_batch([[3, 5, 3, 3]], [12])
    speech = batch.speech.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([speech], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        ctc(replace(batch, speech=speech)).value.backward()
        optimizer.step()
    path = torch.unique_consecutive(batch.readout.log_probs(speech)[0].argmax(-1))
    assert path[path > 0].tolist() == [3, 5, 3, 3]


@pytest.mark.parametrize(("frames", "short"), [(4, True), (5, False)])
def test_repeated_tokens_need_a_blank_between(make_batch, frames, short):
    # 3 5 5 7 cannot be spelled with 4 frames.
    batch = make_batch([[3, 5, 5, 7], [4]], [frames, 6])
    output = ctc(batch)
    assert output.statistics["ctc_too_short"] == (0.5 if short else 0)
    assert output.value.isfinite() and output.value > 0
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    assert gradient.isfinite().all() and (gradient[0] == 0).all() == short


def test_repeats_are_counted_within_the_target_only():
    classes = torch.tensor([[4, 4, 4], [4, 5, 4], [4, 0, 0]])
    assert frames_needed(classes, torch.tensor([3, 3, 1])).tolist() == [5, 3, 1]
    assert frames_needed(torch.empty(2, 0).long(), torch.zeros(2).long()).tolist() == [0, 0]


def test_tokens_without_class_are_dropped_and_counted(make_batch):
    # 15 and 18 are not in use; 0 is the anchor, hence the blank.
    known = make_batch([[3, 5], [4]], FRAMES[:2])
    batch = make_batch([[3, 15, 5, 0], [18, 4]], FRAMES[:2])
    output = ctc(batch)
    torch.testing.assert_close(output.value, ctc(known).value)
    torch.testing.assert_close(output.statistics["ctc_unknown_tokens"], torch.tensor(3 / 6))


@pytest.mark.parametrize("transcript", [[], [15]])
def test_an_utterance_without_targets_counts_as_zero(make_batch, transcript):
    batch = make_batch([[3, 5], transcript], [6, 6])
    output = ctc(batch)
    torch.testing.assert_close(output.value, ctc(make_batch([[3, 5]], [6])).value / 2)
    assert output.statistics["ctc_no_target"] == 0.5
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    assert gradient.isfinite().all() and (gradient[1] == 0).all()


@pytest.mark.parametrize(
    ("transcripts", "frames"),
    [([[3], [4]], [1, 1]), ([[], []], [3, 2]), ([[3, 4], [5]], [0, 4]), ([[3, 4]], [1])],
)
def test_edges_are_finite(make_batch, transcripts, frames):
    batch = make_batch(transcripts, frames)
    output = ctc(batch)
    (gradient,) = torch.autograd.grad(output.value, batch.speech)
    assert output.value.isfinite() and gradient.isfinite().all()
    assert all(s.isfinite() and not s.requires_grad for s in output.statistics.values())


def test_float32_whatever_autocast_says(make_batch):
    batch = make_batch(TRANSCRIPTS, FRAMES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = ctc(batch).value
    assert mixed.dtype == torch.float32 and torch.equal(mixed, ctc(batch).value)


def test_needs_a_readout(make_batch):
    with pytest.raises(UserError, match="token read-out"):
        ctc(replace(make_batch([[3]], [4]), readout=None))
