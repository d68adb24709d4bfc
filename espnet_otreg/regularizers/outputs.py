"""What a regularizer returns, checked: a loss and named numbers, or one sentence that names it."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.precision import working_dtype
from espnet_otreg.regularizers.base import RESERVED_STATISTICS, RegularizerOutput

_RESERVED_PATTERN = re.compile(r"optim\d+_lr\d+")  # the trainer's learning rates
_CONTRACT = "return RegularizerOutput(value, statistics), or the value alone"


def refused(name: str, what: str, mend: str = _CONTRACT) -> UserError:
    """The error about a regularizer that does not keep its contract.

    >>> str(refused("mine", "returned None", "return a loss"))
    'regularizers.mine: the regularizer returned None; return a loss'
    """
    return UserError(f"the regularizer {what}", f"regularizers.{name}", mend)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _loss(name: str, value: Any, speech: Tensor, trains: bool) -> Tensor:
    """The loss as a tensor without dimensions, where and as precise as the speech."""
    dtype, device = working_dtype(speech), speech.device
    if _is_number(value):
        value = torch.tensor(float(value), dtype=dtype, device=device)
    if not isinstance(value, Tensor):
        raise refused(name, f"returned {_described(value)} for a loss")
    if value.numel() != 1:
        shape = tuple(value.shape)
        raise refused(name, f"returned a loss of shape {shape}", "reduce it, to its mean perhaps")
    if not value.is_floating_point():
        raise refused(name, f"returned a loss of type {value.dtype}", "compute it in float32")
    if value.is_meta:
        raise refused(name, "returned a loss on the device meta", "compute it where the speech is")
    value = value.reshape(()).to(device, dtype)
    wants_gradient = trains and speech.requires_grad and torch.is_grad_enabled()
    # A batch may have nothing for a regularizer to do: zero needs no gradient.
    if wants_gradient and not value.requires_grad and float(value) != 0:
        mend = "compute it from batch.speech with torch and without detach(), or give it weight: 0"
        raise refused(name, "returned a loss without a gradient, which trains nothing", mend)
    return value


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}, {value.dtype} on {value.device}"
    return "None" if value is None else f"a {type(value).__name__}"


def _statistic(name: str, key: str, value: Any, speech: Tensor) -> Tensor:
    """One number for the log, detached, on the device of the speech."""
    if _is_number(value) or isinstance(value, bool):
        return torch.tensor(float(value), device=speech.device)
    real = isinstance(value, Tensor) and not (value.is_complex() or value.is_meta)
    if not real or value.numel() != 1:
        raise refused(name, f"reports {_described(value)} as {key!r}", "report one real number")
    value = value.detach().reshape(()).to(speech.device)
    return value if value.is_floating_point() else value.float()


def _statistics(name: str, statistics: Any, speech: Tensor) -> dict[str, Tensor]:
    """Statistics under names that begin with the regularizer's."""
    if not isinstance(statistics, Mapping):
        raise refused(name, f"returned {_described(statistics)} for its statistics")
    found: dict[str, Tensor] = {}
    for key, value in statistics.items():
        if not (isinstance(key, str) and key.strip()):
            raise refused(name, f"reports a statistic named {key!r}", "name it by a string")
        own = key if key.startswith(f"{name}_") else f"{name}_{key}"
        if own in found:
            raise refused(name, f"reports two statistics named {own!r}", "rename one")
        found[own] = _statistic(name, key, value, speech)
    return found


def checked_output(name: str, returned: Any, speech: Tensor, trains: bool) -> RegularizerOutput:
    """What a regularizer returned in the form that the loss and the log take.

    A number or a tensor with one element stands for a loss without statistics. A statistic whose
    name does not begin with the regularizer's gets it in front.

    Args:
        name: the regularizer's, as YAML has it.
        returned: what it returned for a batch.
        speech: (B, S, D) of that batch.
        trains: whether the loss is going to be differentiated.

    Raises:
        UserError: naming the regularizer, if the loss is no single real number, or has no gradient
            although it trains and is not zero; or if a statistic is no named real number.

    >>> speech = torch.zeros(1, 2, 3)
    >>> output = RegularizerOutput(torch.tensor([2.0]), {"gap": 1, "mine_size": torch.tensor(3)})
    >>> checked_output("mine", output, speech, trains=False).statistics
    {'mine_gap': tensor(1.), 'mine_size': tensor(3.)}
    """
    value, statistics = returned, {}
    if isinstance(returned, RegularizerOutput):
        value, statistics = returned.value, returned.statistics
    loss = _loss(name, value, speech, trains)
    return RegularizerOutput(loss, _statistics(name, statistics, speech))


def checked_weight(name: str, weight: Any) -> float:
    """The weight in force, a finite number not below 0.

    Raises:
        UserError: naming the regularizer, if it is none.
    """
    if not (_is_number(weight) and weight >= 0 and math.isfinite(weight)):
        raise refused(name, f"has a weight of {weight!r}", "let weight_at return a number >= 0")
    return float(weight)


def add_statistics(
    all_statistics: dict[str, Tensor], owners: dict[str, str], name: str, own: Mapping[str, Tensor]
) -> None:
    """Add a regularizer's statistics to those of the others.

    Args:
        all_statistics: is added to.
        owners: whose each of them is; is added to.
        name: the regularizer's.
        own: its statistics.

    Raises:
        UserError: if one has a name that is taken, by the training or by another regularizer.

    >>> add_statistics({}, {}, "kept", {"kept_frames": torch.tensor(1.0)})
    Traceback (most recent call last):
    espnet_otreg.errors.UserError: regularizers.kept: the regularizer reports 'kept_frames', which \
the training reports; rename it
    """
    for key, value in own.items():
        reserved = key in RESERVED_STATISTICS or _RESERVED_PATTERN.fullmatch(key)
        owner = "the training" if reserved else owners.get(key)
        if owner is not None:
            raise refused(name, f"reports {key!r}, which {owner} reports", "rename it")
        owners[key] = f"the regularizer {name!r}"
        all_statistics[key] = value
