"""What an objective returns, the reference that it may keep, and the names that it may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tiny_llm import build_tiny_llm

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.objectives import (
    Objective,
    ObjectiveConfig,
    ObjectiveOutput,
    parse_objective,
    register_objective,
)
from espnet_otreg.objectives.reference import FrozenCopy
from espnet_otreg.objectives.registry import OBJECTIVES
from espnet_otreg.objectives.training import build_training_model, set_objective
from espnet_otreg.slm.model import SpokenLanguageModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SpokenLanguageModel:
    llm = build_tiny_llm(tmp_path_factory.mktemp("llm"))
    torch.manual_seed(0)
    return build_training_model(
        {
            "encoder_conf": {"input_size": 6, "frame_seconds": 0.02},
            "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
            "llm_conf": {"model": str(llm), "adapter": "lora", "lora_rank": 2},
        }
    )


def batch() -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "speech": torch.randn(2, 12, 6),
        "speech_lengths": torch.tensor([12, 8]),
        "text": torch.tensor([[20, 21, 22], [30, -1, -1]]),
        "text_lengths": torch.tensor([3, 1]),
        "utt_id": ["a", "b"],
    }


@pytest.fixture
def returning(
    model: SpokenLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SpokenLanguageModel]:
    """returning(function): the model with an objective that calls it with the mean embedding."""
    monkeypatch.setattr(OBJECTIVES, "_registered", dict(OBJECTIVES._registered))
    returned: list[Any] = [None]

    class Probe(Objective):
        def __call__(self, model: Any, batch: Any, step: int) -> Any:
            embeddings = model.encode(batch["speech"], batch["speech_lengths"])
            return returned[0](embeddings.values.mean())

    @register_objective("probe")
    @dataclass(frozen=True)
    class ProbeConfig(ObjectiveConfig):
        def build(self) -> Objective:
            return Probe()

    def use(function: Callable[[torch.Tensor], Any]) -> SpokenLanguageModel:
        returned[0] = function
        return set_objective(model.train(), "probe")

    return use


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda x: None, "the objective returned None; return ObjectiveOutput"),
        (lambda x: x, "the objective returned a Tensor; return ObjectiveOutput"),
        (lambda x: ObjectiveOutput(x.expand(2)), "a loss that is no single number"),
        (lambda x: ObjectiveOutput(1.0), "a loss that is no single number"),  # type: ignore[arg-type]
        (lambda x: ObjectiveOutput(x.detach()), "a loss without a gradient"),
        (lambda x: ObjectiveOutput(x, {}, 0.0), "a weight of 0.0"),
        (lambda x: ObjectiveOutput(x, {"gain": 1.0}), "'gain', which is no tensor"),  # type: ignore[dict-item]
    ],
)
def test_what_is_no_loss_ends_in_a_sentence(
    returning: Callable[..., SpokenLanguageModel], function: Any, sentence: str
) -> None:
    with pytest.raises(UserError, match=f"objective.probe: .*{sentence}"):
        returning(function)(**batch())


def test_a_loss_comes_with_its_statistics_and_weight(
    returning: Callable[..., SpokenLanguageModel],
) -> None:
    model = returning(lambda x: ObjectiveOutput(3 * x, {"mean": x}, 5))
    loss, statistics, weight = model(**batch())
    assert loss.requires_grad and not any(value.requires_grad for value in statistics.values())
    assert statistics["loss"] == loss.detach() == 3 * statistics["mean"]
    assert weight.item() == 5


def test_a_reference_is_the_model_of_the_start_and_costs_what_is_trained(
    model: SpokenLanguageModel,
) -> None:
    set_objective(model).eval()
    names = list(torch.nn.Module.state_dict(model))
    reference = FrozenCopy(model).module
    with torch.no_grad():
        expected, _, _ = model(**batch())
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        for parameter in trained.values():
            parameter.add_(0.1)
        changed, _, _ = model(**batch())
        same, _, _ = reference(**batch())
    assert torch.equal(same, expected) and not torch.equal(changed, expected)
    kept = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        assert (kept[name] is parameter) == (name not in trained)
        assert not kept[name].requires_grad
    assert all(parameter.requires_grad for parameter in trained.values())
    assert list(torch.nn.Module.state_dict(model)) == names


def test_all_mistakes_of_model_and_objective_at_once() -> None:
    values = {"objective": "supervized", "projector": "stack_mpl", "llm_conf": {"model": "a/b"}}
    with pytest.raises(ConfigErrors, match="2 configuration errors: .*stack_mlp.*'supervised'"):
        build_training_model(values)


def test_a_class_that_builds_nothing_is_no_objective() -> None:
    @dataclass(frozen=True)
    class Empty(ObjectiveConfig):
        pass

    with pytest.raises(TypeError, match=r"does not say how to build its objective: define build"):
        register_objective("empty")(Empty)
    with pytest.raises(ValueError, match="an objective named 'supervised' exists"):
        register_objective("supervised")(Empty)
    assert OBJECTIVES.names() == ["supervised"]
    named = parse_objective(None)
    assert named is not None and named.name == "supervised"
