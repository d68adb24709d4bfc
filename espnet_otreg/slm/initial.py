"""``--init_param FILE:SOURCE:TARGET:EXCLUDED``: weights to begin with, each of which must land.

ESPnet loads them. It is content with a source that no weight has and with a misspelt exclusion,
and then trains from random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.pretrained import first_names, nonfinite
from espnet_otreg.slm.checkpoint import load_checkpoint


@dataclass(frozen=True)
class InitialWeights:
    """One value of ``--init_param``.

    Attributes:
        path: of the checkpoint.
        source: what the names of the weights begin with there; empty for all.
        target: the part of the model that they go to; empty for the whole model.
        excluded: beginnings of names that are left out.

    >>> InitialWeights.parse("a.pth:projector:projector:projector.gain,projector.norm").excluded
    ('projector.gain', 'projector.norm')
    """

    path: str
    source: str
    target: str
    excluded: tuple[str, ...]

    @classmethod
    def parse(cls, value: str) -> InitialWeights:
        """Take ESPnet's syntax apart.

        Raises:
            UserError: if there are more than four parts.
        """
        parts = value.split(":")
        if len(parts) > 4:
            raise UserError(
                f"expected FILE:SOURCE:TARGET:EXCLUDED, found {value!r}", "--init_param"
            )
        path, source, target, excluded = (*parts, "", "", "")[:4]
        return cls(path, source, target, tuple(excluded.split(",")) if excluded else ())


def _part(model: nn.Module, value: str, target: str) -> nn.Module:
    part: Any = model
    for name in target.split("."):
        known = [child for child, _ in part.named_children()]
        if name not in known:
            raise UserError(
                f"the model has no part {target!r}", f"--init_param {value}",
                did_you_mean(name, known),
            )  # fmt: skip
        part = getattr(part, name)
    return part


def check_initial(value: str, model: nn.Module, allow_mismatch: bool) -> None:
    """Find weights of a checkpoint that would not land in the model.

    Args:
        value: of ``--init_param``.
        model: that is to be trained.
        allow_mismatch: ``--ignore_init_mismatch``: some weights may not land, but not all.

    Raises:
        UserError: if the file is damaged, a name in ``value`` means nothing, or a weight has no
            place, another size than its place, or NaN.
    """
    initial, where = InitialWeights.parse(value), f"--init_param {value}"
    found = load_checkpoint(initial.path)
    state: dict[str, Any] = found.get("module", found)  # DeepSpeed puts it one level down
    for beginning in initial.excluded:
        if not any(key.startswith(beginning) for key in state):
            raise _nothing(f"no weight to exclude begins with {beginning!r}", where, state)
    state = {key: item for key, item in state.items() if not key.startswith(initial.excluded)}
    if initial.source:
        begun = [key for key in state if key.startswith(initial.source)]
        cut = f"{initial.source}."
        if not begun or not all(key.startswith(cut) for key in begun):
            raise _nothing(f"no weight begins with {cut!r} alone", where, state)
        state = {key.removeprefix(cut): state[key] for key in begun}
    part = _part(model, value, initial.target) if initial.target else model
    places = part.state_dict()
    unknown = state.keys() - places.keys()
    resized = {
        f"{key} {list(state[key].shape)} instead of {list(places[key].shape)}"
        for key in state.keys() & places.keys()
        if state[key].shape != places[key].shape
    }
    problems = {
        "unknown keys": unknown,
        "other shapes": resized,
    }
    faults = [f"{fault}: {first_names(names)}" for fault, names in problems.items() if names]
    nothing = len(unknown) + len(resized) == len(state)
    if nothing or (faults and not allow_mismatch):
        raise UserError(
            "; ".join([*(["no weight has a place in the model"] if nothing else []), *faults]),
            where,
            "load it with the configuration it was trained with, or name the part to take and "
            "where it goes (FILE:SOURCE:TARGET:EXCLUDED)",
        )
    if wrong := nonfinite(state):
        raise UserError(f"weights with NaN or infinity: {first_names(wrong)}", where)


def _nothing(what: str, where: str, state: dict[str, Any]) -> UserError:
    return UserError(what, where, "there is " + first_names({key.split(".")[0] for key in state}))
