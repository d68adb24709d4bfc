"""What a checkpoint holds: the parameters that training can change."""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write
from espnet_otreg.models_offline.pretrained import first_names, nonfinite
from espnet_otreg.slm.encoders.registry import pretrained_prefixes
from espnet_otreg.slm.llm import LLM

_UNNAMED = "checkpoint"


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a file that ``torch.save`` wrote, on the CPU, if every byte is as written.

    A checkpoint is a zip archive with a checksum for each tensor. ``torch.load`` does not look at
    them: it loads a tensor with a flipped bit as if nothing had happened. And it loads weights
    only, so that the file of a stranger runs no code.

    Raises:
        UserError: if the file is cut off, changed, or holds anything but weights and plain values.
        OSError: if it cannot be opened.
    """
    with open(path, "rb") as file:
        if _is_damaged(file):
            raise UserError("the checkpoint is damaged", str(path), "train again to resume")
    foreign = UserError(
        "no checkpoint of weights and plain values",
        str(path),
        "use a checkpoint that this program wrote",
    )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise foreign from error
    if not isinstance(content, dict):
        raise foreign
    return content


def save_checkpoint(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a file for :func:`load_checkpoint`, which appears whole or not at all.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.pth"
    >>> save_checkpoint(path, {"step": 3, "weight": torch.zeros(2)})
    >>> load_checkpoint(path)
    {'step': 3, 'weight': tensor([0., 0.])}
    """
    with atomic_write(path, "wb") as file:
        torch.save(content, file)


def _is_damaged(file: IO[bytes]) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is not None
    except Exception:  # where a header is damaged, zipfile raises many kinds
        return True


def saved_keys(model: nn.Module) -> set[str]:
    """Names of the parameters and buffers that a checkpoint must hold.

    Frozen parameters of pretrained models, which the configuration restores, are left out.

    >>> saved_keys(nn.Linear(2, 1)) == {"weight", "bias"}
    True
    """
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    llm = getattr(model, "llm", None)
    if isinstance(llm, LLM):
        trained |= {f"llm.{name}" for name in llm.saved_although_frozen()}
    keys = nn.Module.state_dict(model).keys()
    pretrained = ("llm.", *pretrained_prefixes())
    return {key for key in keys if key in trained or not key.startswith(pretrained)}


def checked_state(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint's content if it fits the model exactly.

    Raises:
        UserError: naming missing, unknown and misshapen keys, and weights that are integers, NaN
            or infinite.

    >>> checked_state(nn.Linear(2, 1, bias=False), {"weigth": 0})
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: checkpoint: missing keys: weight; unknown keys: weigth; \
load it with the configuration it was trained with
    """
    expected = saved_keys(model)
    own = nn.Module.state_dict(model)
    shared = expected & state.keys()
    problems = {
        "missing keys": sorted(expected - state.keys()),
        "unknown keys": sorted(state.keys() - expected),
        "other shapes": sorted(
            key for key in shared if own[key].shape != getattr(state[key], "shape", None)
        ),
        "integers for floats": sorted(
            key
            for key in shared
            if isinstance(state[key], Tensor)
            if own[key].is_floating_point() and not state[key].is_floating_point()
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
    if wrong := nonfinite(state):
        raise UserError(
            f"weights with NaN or infinity: {first_names(wrong)}",
            _UNNAMED,
            "take an earlier checkpoint",
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
