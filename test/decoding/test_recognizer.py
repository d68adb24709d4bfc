"""A model that is in training may be asked what it hears: it goes on learning afterwards."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from espnet_otreg.decoding.encoded import SpeechBatch
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.objectives.training import set_objective
from espnet_otreg.slm.checkpoint import saved_keys
from espnet_otreg.slm.model import SpokenLanguageModel


@pytest.fixture
def model(tiny_model: SpokenLanguageModel) -> SpokenLanguageModel:
    """A copy that may be trained."""
    return set_objective(copy.deepcopy(tiny_model))


def _batch(model: SpokenLanguageModel) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 30, model.encoder.output_size()), torch.tensor([30, 21])  # type: ignore[operator]


def _loss(model: SpokenLanguageModel) -> torch.Tensor:
    speech, lengths = _batch(model)
    spelt = torch.tensor([[ord(c) for c in language] for language in ("it", "ru")])
    loss: torch.Tensor
    loss, _, _ = model(
        speech=speech,
        speech_lengths=lengths,
        text=torch.full((2, 4), 20),
        text_lengths=torch.tensor([4, 3]),
        language=spelt,
        language_lengths=torch.tensor([2, 2]),
    )
    return loss


def _hear(model: SpokenLanguageModel, recognize: Recognizer) -> Any:
    batch = SpeechBatch(*_batch(model), ["it", "ru"], [0.6, 0.4])
    return recognize([batch], configure_modes(["llm", "joint"]))


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_recognising_leaves_the_model_as_it_was(model: SpokenLanguageModel, training: bool) -> None:
    state = {name: value.clone() for name, value in torch.nn.Module.state_dict(model).items()}
    with torch.no_grad():
        before = _loss(model)
    _hear(model.eval(), Recognizer(model))
    after = torch.nn.Module.state_dict(model)
    assert all(torch.equal(after[name], value) for name, value in state.items())  # to the bit
    with torch.no_grad():
        assert torch.equal(_loss(model), before)
    model.train(training)
    _loss(model).sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if "lora_" in n}
    assert gradients and all(g is not None and g.abs().sum() > 0 for g in gradients.values())


def test_what_is_merged_for_good_is_taken_apart_by_training_mode(
    model: SpokenLanguageModel,
) -> None:
    state = {name: value.clone() for name, value in torch.nn.Module.state_dict(model).items()}
    assert model.llm.merge_adapter() and not model.llm.merge_adapter()
    merged = torch.nn.Module.state_dict(model)
    assert any(not torch.equal(merged[name], value) for name, value in state.items())
    _hear(model, Recognizer(model))
    assert not model.llm.merge_adapter()  # whoever merged it wants it so
    _loss(model.train()).sum().backward()
    after = torch.nn.Module.state_dict(model)
    assert all(torch.equal(after[name], value) for name, value in state.items())
    gradients = [p.grad for n, p in model.named_parameters() if "lora_" in n]
    assert gradients and all(g is not None and g.abs().sum() > 0 for g in gradients)


def test_what_was_heard_is_the_same_merged_for_good_or_not(model: SpokenLanguageModel) -> None:
    recognize = Recognizer(model)
    apart = _hear(model, recognize)
    model.llm.merge_adapter()
    assert _hear(model, recognize) == apart


def test_a_frozen_adapter_is_saved(model: SpokenLanguageModel) -> None:
    trained = {key for key in saved_keys(model) if "lora_" in key}
    model.requires_grad_(False)  # as by freeze: ['.']
    assert trained and trained <= saved_keys(model)
    assert not any("base_layer" in key for key in saved_keys(model))
    assert trained <= model.state_dict().keys()
