"""Whisper in two halves: together they are the whole, whatever the batch, and one half is saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor, WhisperModel

from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.whisper_network import WhisperEncoder
from espnet_otreg.slm.encoders.whisper_upper_network import WhisperUpperEncoder

LAYERS = 2  # of the tiny Whisper
LENGTHS = (8000, 3333, 16000)


def speech() -> tuple[Tensor, Tensor]:
    batch = torch.randn(len(LENGTHS), max(LENGTHS), generator=torch.Generator().manual_seed(2))
    return 0.1 * batch, torch.tensor(LENGTHS)


@torch.no_grad()
@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_frames_of_a_layer_are_the_hidden_states_of_transformers(
    tiny_whisper: Path, layer: int
) -> None:
    waveform = speech()[0][:1].repeat(1, 30)[:, :480000]
    inputs = WhisperFeatureExtractor()(
        waveform[0].numpy(), sampling_rate=16000, return_tensors="pt"
    ).input_features
    seen: list[Tensor] = []
    whisper = WhisperModel.from_pretrained(tiny_whisper).get_encoder()
    whisper.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for each in whisper.layers:
        each.register_forward_hook(lambda _, __, hidden: seen.append(hidden))
    whisper(inputs)
    found, _ = WhisperEncoder(str(tiny_whisper), layer=layer).eval()(
        waveform, torch.tensor([480000])
    )
    torch.testing.assert_close(found, seen[layer], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_both_halves_are_the_whole(tiny_whisper: Path, layer: int) -> None:
    expected, lengths = WhisperEncoder(str(tiny_whisper)).eval()(*speech())
    hidden, frames = WhisperEncoder(str(tiny_whisper), layer=layer).eval()(*speech())
    upper = WhisperUpperEncoder(str(tiny_whisper), layer).eval()
    found, counts, _ = upper(hidden, frames)
    assert torch.equal(counts, lengths) and upper.output_size() == 32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_batch_mates_and_rubbish_behind_the_end_do_not_matter(tiny_whisper: Path) -> None:
    upper = WhisperUpperEncoder(str(tiny_whisper), 1).eval().double()
    hidden = torch.randn(3, 9, 32, dtype=torch.float64)
    lengths = torch.tensor([9, 4, 6])
    together = upper(hidden, lengths)[0]
    for row, length in enumerate(lengths.tolist()):
        alone = upper(hidden[row : row + 1, :length], lengths[row : row + 1])[0][0]
        torch.testing.assert_close(together[row, :length], alone, rtol=1e-12, atol=1e-12)
        assert not together[row, length:].any()


@pytest.mark.parametrize(
    ("first", "trained", "learn"),
    [(0, None, {"tuned.0", "tuned.1", "norm"}), (0, 1, {"tuned.0", "norm"}), (1, 0, set())],
)
def test_so_many_of_the_last_layers_learn(
    tiny_whisper: Path, first: int, trained: int | None, learn: set[str]
) -> None:
    upper = WhisperUpperEncoder(str(tiny_whisper), first, trained).train()
    upper(torch.randn(1, 5, 32), torch.tensor([5]))[0].square().sum().backward() if learn else None
    found = {
        ".".join(name.split(".")[: 2 if name[0] != "n" else 1])
        for name, parameter in upper.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }
    assert found == learn
    whole = WhisperEncoder(str(tiny_whisper)).encoder.layers
    last = (*upper.fixed, *upper.tuned)[-1]
    assert torch.equal(last.fc1.weight, whole[-1].fc1.weight)


def test_what_is_not_there_is_said(tiny_whisper: Path) -> None:
    with pytest.raises(UserError, match="layer 3 of an encoder with 2"):
        WhisperUpperEncoder(str(tiny_whisper), 3)
    with pytest.raises(UserError, match="2 layers to train, but 1 above layer 1"):
        WhisperUpperEncoder(str(tiny_whisper), 1, 2)
    with pytest.raises(UserError, match="features have 16 dimensions, the model expects 32"):
        WhisperUpperEncoder(str(tiny_whisper), 1)(torch.zeros(1, 4, 16), torch.tensor([4]))
