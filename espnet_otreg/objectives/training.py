"""A spoken language model with the objective that it is trained with."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.objectives.base import Objective, ObjectiveOutput
from espnet_otreg.objectives.registry import DEFAULT, NamedObjective, parse_objective
from espnet_otreg.slm.build import build_model
from espnet_otreg.slm.config import parse_slm_config
from espnet_otreg.slm.model import SpokenLanguageModel


def build_training_model(values: Mapping[str, Any]) -> SpokenLanguageModel:
    """Build the model of a configuration together with its objective.

    Args:
        values: of a YAML file, or ``vars()`` of ESPnet's arguments.

    Raises:
        ConfigErrors: with every mistake at once.
        UserError: if a part cannot be loaded or does not fit.
    """
    errors: list[str] = []
    named = parse_objective(values.get("objective"), errors)
    try:
        config = parse_slm_config(values)
    except ConfigErrors as found:
        raise ConfigErrors(found.errors + errors) from found
    if named is None:
        raise ConfigErrors(errors)
    return _train_with(build_model(config), named)


def set_objective(model: SpokenLanguageModel, item: Any = DEFAULT) -> SpokenLanguageModel:
    """Let a model be trained with an objective; ``model(**batch)`` is then its loss.

    Args:
        model: is changed.
        item: as in YAML, ``name`` or ``{name: {key: value}}``.

    Returns:
        The model.

    Raises:
        ConfigErrors: with every mistake of ``item``.
    """
    named = parse_objective(item)
    assert named is not None
    return _train_with(model, named)


def _train_with(model: SpokenLanguageModel, named: NamedObjective) -> SpokenLanguageModel:
    limit = model.config.model_conf.max_nonfinite_steps
    model.objective = CheckedObjective(named.name, named.config.build(), limit)
    return model


class CheckedObjective(Objective):
    """An objective whose output is checked; a loss that is not finite makes a step that is skipped.

    Args:
        name: of the objective, for messages.
        objective: what it calls.
        max_nonfinite_steps: so many losses in a row that are not finite end the training.
    """

    def __init__(self, name: str, objective: Objective, max_nonfinite_steps: int) -> None:
        self.name = name
        self.objective = objective
        self.max_nonfinite_steps = max_nonfinite_steps
        self._started = False
        self._nonfinite_in_a_row = 0

    def remember_start(self, model: SpokenLanguageModel) -> None:
        """Hand it on; a trainer that does not call it leaves that to the first batch."""
        self._started = True
        self.objective.remember_start(model)

    def __call__(
        self, model: SpokenLanguageModel, batch: Mapping[str, Any], step: int
    ) -> ObjectiveOutput:
        """The objective's output, with its loss among the statistics, all of them detached.

        Raises:
            UserError: if the output is no loss, or too many losses in a row were not finite.
        """
        if not self._started:
            self.remember_start(model)
        output = self.objective(model, batch, step)
        self._check(output, model.training)
        statistics = {**output.statistics, "loss": output.loss.detach().clone()}
        loss = self._finite(output.loss, statistics, batch) if model.training else output.loss
        if not model.training:
            self._nonfinite_in_a_row = 0
        detached = {name: value.detach() for name, value in statistics.items()}
        return ObjectiveOutput(loss, detached, output.weight)

    def _check(self, output: Any, training: bool) -> None:
        if not isinstance(output, ObjectiveOutput):
            kind = "None" if output is None else f"a {type(output).__name__}"
            raise self._refused(f"returned {kind}", "return ObjectiveOutput(loss, ...)")
        loss = output.loss
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
            raise self._refused("returned a loss that is no single number", "reduce it to a mean")
        if training and torch.is_grad_enabled() and not loss.requires_grad:
            raise self._refused(
                "returned a loss without a gradient, which trains nothing", "do not detach it"
            )
        weight = output.weight
        if not isinstance(weight, numbers.Real) or not 0 < weight < float("inf"):
            raise self._refused(f"returned a weight of {weight!r}", "return a number above 0")
        for name, value in output.statistics.items():
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise self._refused(
                    f"reports {name!r}, which is no tensor with one element", "reduce it"
                )

    def _refused(self, what: str, mend: str) -> UserError:
        return UserError(f"the objective {what}", f"objective.{self.name}", mend)

    def _finite(
        self, loss: Tensor, statistics: Mapping[str, Tensor], batch: Mapping[str, Any]
    ) -> Tensor:
        """The loss; one that is not finite is reported and gets a gradient of NaN, which makes
        ESPnet's trainer skip the step (an infinite constant would have a finite one)."""
        if bool(torch.isfinite(loss)):
            self._nonfinite_in_a_row = 0
            return loss
        self._nonfinite_in_a_row += 1
        utterances = " ".join(batch.get("utt_id", ()))
        terms = ", ".join(f"{name}={float(value):.4g}" for name, value in statistics.items())
        logging.warning(
            "step skipped, the loss is not finite: utterances %s; %s", utterances, terms
        )
        if self._nonfinite_in_a_row >= self.max_nonfinite_steps:
            raise UserError(
                f"the loss was not finite {self._nonfinite_in_a_row} times in a row ({terms})",
                f"utterances {utterances}",
                "look at these utterances, lower the learning rate or the regularizers' weights",
            )
        return loss * torch.nan
