"""Projectors: sizes, norms, and independence of batch mates."""

from __future__ import annotations

import pytest
import torch
from pages import block_with

from espnet_otreg.errors import ConfigErrors
from espnet_otreg.slm import projectors
from espnet_otreg.slm.config import parse_slm_config
from espnet_otreg.slm.frames import stack_frames
from espnet_otreg.slm.projector_config import (
    PROJECTORS,
    StackMLPConfig,
    StackTransformerConfig,
    StridedConvolutionConfig,
    WindowQFormerConfig,
)
from espnet_otreg.slm.projectors import Projector

CONFIGS = [
    StackTransformerConfig(stack=3, layers=2, width=24, heads=4),
    StackMLPConfig(stack=4, width=24),
    StridedConvolutionConfig(strides=(2, 2), kernel=5, width=24),
    WindowQFormerConfig(window=5, queries=1, layers=2, width=24, heads=4),
    WindowQFormerConfig(window=6, queries=3, layers=1, width=24, heads=4),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_an_utterance_is_projected_alike_alone_and_padded(config) -> None:
    torch.manual_seed(0)
    projector = Projector(config, input_size=6, output_size=10, norm=3.0).eval()
    lengths = torch.tensor([17, 1, 8, 12])
    features = torch.randn(4, 17, 6)  # what stands beyond a length is garbage on purpose
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


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_every_parameter_gets_a_gradient_from_every_output(config) -> None:
    torch.manual_seed(0)
    projector = Projector(config, input_size=6, output_size=10, norm=3.0).eval()
    values, lengths = projector(torch.randn(2, 17, 6), torch.tensor([17, 9]))
    weights = torch.randn_like(values)  # the sum of squares is the same for all directions
    for row, length in enumerate(lengths.tolist()):
        for place in range(length):
            projector.zero_grad()
            (values[row, place] * weights[row, place]).sum().backward(retain_graph=True)
            silent = [n for n, p in projector.named_parameters() if not p.grad.abs().sum() > 0]
            assert silent == []


@torch.no_grad()
@pytest.mark.parametrize(("queries", "counts"), [(1, (1, 1, 2, 3)), (3, (1, 3, 4, 8))])
def test_queries_see_the_frames_of_their_window_and_no_others(
    queries: int, counts: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    config = WindowQFormerConfig(window=6, queries=queries, layers=2, width=24, heads=4)
    projector = Projector(config, input_size=6, output_size=10, norm=3.0).eval()
    lengths = torch.tensor([1, 6, 7, 16])  # 6 / 3 = 2 frames for each of three queries
    features = torch.randn(4, 16, 6)
    values, found = projector(features, lengths)
    assert tuple(found.tolist()) == counts
    for frame in range(16):
        changed = features.clone()
        changed[3, frame] += 1.0
        moved = (projector(changed, lengths)[0][3] - values[3]).abs().amax(dim=1) > 1e-6
        window = frame // 6
        expected = [place // queries == window for place in range(counts[3])]
        assert moved[: counts[3]].tolist() == expected


def test_a_qformer_that_makes_no_sense_is_refused() -> None:
    conf = {"window": 17, "queries": 2, "width": 10, "heads": 4, "dropout": 1.0}
    with pytest.raises(ConfigErrors) as caught:
        parse_slm_config(
            {"llm_conf": {"model": "x"}, "projector": "window_qformer", "projector_conf": conf}
        )
    assert caught.value.errors == [
        "projector_conf.dropout: must be in [0, 1), found 1.0",
        "projector_conf.width: 10 is not a multiple of heads (4)",
        "projector_conf.window: 17 is not a multiple of queries (2)",
    ]


def test_a_projector_is_two_classes_and_two_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"__name__": __name__}
    exec(block_with("extending.md", "python", "class MeanPool"), names)
    monkeypatch.setitem(PROJECTORS, "mean_pool", names["MeanPoolConfig"])
    monkeypatch.setitem(projectors._CLASSES, names["MeanPoolConfig"], names["MeanPool"])
    values = {"projector": "mean_pool", "projector_conf": {"frames": 3}, "llm_conf": {"model": "x"}}
    config = parse_slm_config(values).projector_conf
    test_an_utterance_is_projected_alike_alone_and_padded(config)
    test_the_output_has_the_llms_norm_times_the_gain(config)
    with pytest.raises(ConfigErrors, match="projector_conf.frames: "):
        parse_slm_config(values | {"projector_conf": {"frames": 0}})
