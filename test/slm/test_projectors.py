"""Projectors: sizes, norms, and independence of batch mates."""

from __future__ import annotations

import pytest
import torch

from espnet_otreg.slm.config import (
    StackMLPConfig,
    StackTransformerConfig,
    StridedConvolutionConfig,
)
from espnet_otreg.slm.projectors import Projector, stack_frames

CONFIGS = [
    StackTransformerConfig(stack=3, layers=2, width=24, heads=4),
    StackMLPConfig(stack=4, width=24),
    StridedConvolutionConfig(strides=(2, 2), kernel=5, width=24),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_an_utterance_is_projected_alike_alone_and_padded(config) -> None:
    torch.manual_seed(0)
    projector = Projector(config, input_size=6, output_size=10, norm=3.0).eval()
    lengths = torch.tensor([17, 1, 8])
    features = torch.randn(3, 17, 6)  # what stands beyond a length is garbage on purpose
    batch, batch_lengths = projector(features, lengths)
    for index, length in enumerate(lengths.tolist()):
        alone, alone_lengths = projector(features[index : index + 1, :length], lengths[index, None])
        assert batch_lengths[index] == alone_lengths[0] == -(-length // projector.reduction)
        size = int(alone_lengths[0])
        torch.testing.assert_close(batch[index, :size], alone[0, :size], rtol=1e-5, atol=1e-6)
        assert (batch[index, size:] == 0).all()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_the_output_has_the_llms_norm_times_the_gain(config) -> None:
    projector = Projector(config, input_size=6, output_size=10, norm=3.0).eval()
    with torch.no_grad():
        projector.gain.fill_(2.0)
    values, lengths = projector(torch.randn(1, 9, 6), torch.tensor([9]))
    norms = values[0, : lengths[0]].norm(dim=-1)
    torch.testing.assert_close(norms, torch.full_like(norms, 6.0))


def test_stacking_keeps_every_frame_in_order() -> None:
    features = torch.arange(10.0).view(1, 10, 1)
    stacked, lengths = stack_frames(features, torch.tensor([10]), 4)
    assert stacked.flatten().tolist() == [*map(float, range(10)), 0.0, 0.0]
    assert lengths.tolist() == [3]
