"""Other learning rates for parts of the model, whatever the schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import torch

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import UserError

_SCALE = "lr_scale"
Optimizer = TypeVar("Optimizer", bound=torch.optim.Optimizer)


def parameter_groups(model: torch.nn.Module, scales: Mapping[str, float]) -> list[dict[str, Any]]:
    """The trainable parameters, in one group for each share of the learning rate.

    Args:
        model: that is to be trained.
        scales: regular expression -> share of the learning rate for the parameters whose names it
            finds, of several the first one; all others have the whole rate.

    Raises:
        UserError: if nothing is trainable, or an expression finds no parameter, frozen or not.

    >>> model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    >>> [(len(g["params"]), g["lr_scale"]) for g in parameter_groups(model, {"^0[.]": 0.3})]
    [(2, 1.0), (2, 0.3)]
    """
    groups: dict[float, list[torch.nn.Parameter]] = {1.0: []}
    names = dict(model.named_parameters())
    for pattern in scales:
        if not any(re.search(pattern, name) for name in names):
            modules = sorted({name.split(".")[0] for name in names})
            hint = did_you_mean(pattern, modules)
            raise UserError(f"{pattern!r} matches no parameter", _SCALE, hint)
    for name, parameter in names.items():
        if parameter.requires_grad:
            found = (float(s) for pattern, s in scales.items() if re.search(pattern, name))
            groups.setdefault(next(found, 1.0), []).append(parameter)
    kept = [{"params": group, _SCALE: scale} for scale, group in groups.items() if group]
    if not kept:
        raise UserError("no parameter is trainable", "train, freeze", "correct the patterns")
    return kept


def scale_rates(optimizer: Optimizer) -> Optimizer:
    """Let every step use each group's own share of the rate that the schedule has set.

    Schedules such as ESPnet's piecewise linear one give all groups the same rate and know no
    others; so the rate is scaled around the step only.

    Args:
        optimizer: of :func:`parameter_groups`.

    Returns:
        The optimiser.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> weight.grad = torch.ones(1)
    >>> optimizer = scale_rates(torch.optim.SGD([{"params": [weight], "lr_scale": 0.5}], lr=0.1))
    >>> optimizer.step()
    >>> weight.item(), optimizer.param_groups[0]["lr"]
    (-0.05000000074505806, 0.1)
    """
    planned: list[float] = []

    def scale(*_: Any) -> None:
        planned[:] = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            if group[_SCALE] != 1.0:
                group["lr"] = group["lr"] * group[_SCALE]

    def restore(*_: Any) -> None:
        for group, rate in zip(optimizer.param_groups, planned, strict=True):
            group["lr"] = rate

    optimizer.register_step_pre_hook(scale)
    optimizer.register_step_post_hook(restore)
    return optimizer
