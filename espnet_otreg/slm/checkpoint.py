"""What a checkpoint holds: the parameters that training can change, and nothing it can fetch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from espnet_otreg.errors import UserError

# Modules whose weights come from a named pretrained model, so that the configuration restores
# them; their frozen parameters are not saved again at every epoch.
PRETRAINED = ("llm.", "encoder.whisper.", "encoder.wav2vec2.")
_UNNAMED = "checkpoint"


def saved_keys(model: nn.Module) -> set[str]:
    """Names of the parameters and buffers that a checkpoint must hold.

    >>> saved_keys(nn.Linear(2, 1)) == {"weight", "bias"}
    True
    """
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    keys = nn.Module.state_dict(model).keys()
    return {key for key in keys if key in trained or not key.startswith(PRETRAINED)}


def checked_state(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint's content if it fits the model exactly.

    Raises:
        UserError: naming missing, unknown and misshapen keys.

    >>> checked_state(nn.Linear(2, 1, bias=False), {"weigth": 0})
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: checkpoint: missing keys: weight; unknown keys: weigth; \
load it with the configuration it was trained with
    """
    expected = saved_keys(model)
    own = nn.Module.state_dict(model)
    problems = {
        "missing keys": sorted(expected - state.keys()),
        "unknown keys": sorted(state.keys() - expected),
        "other shapes": sorted(
            key for key in expected & state.keys() if own[key].shape != state[key].shape
        ),
    }
    found = [
        f"{kind}: {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}"
        for kind, keys in problems.items()
        if keys
    ]
    if found:
        raise UserError(
            "; ".join(found), _UNNAMED, "load it with the configuration it was trained with"
        )
    return dict(state)


@contextlib.contextmanager
def naming_checkpoint(path: object) -> Iterator[None]:
    """Let the errors of :func:`checked_state` say which file they are about.

    >>> with naming_checkpoint("exp/model.pth"):
    ...     checked_state(nn.Linear(1, 1, bias=False), {})
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: exp/model.pth: missing keys: weight; \
load it with the configuration it was trained with
    """
    try:
        yield
    except UserError as error:
        if error.where != _UNNAMED:
            raise
        raise UserError(error.what, str(path), error.mend) from error
