"""Objectives by name: our own, and those other packages bring by entry point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from espnet_otreg.objectives.base import ObjectiveConfig
from espnet_otreg.registry import Named, Registry

Config = TypeVar("Config", bound=type[ObjectiveConfig])
type NamedObjective = Named[ObjectiveConfig]

DEFAULT = "supervised"
OBJECTIVES = Registry(
    "objective",
    ObjectiveConfig,
    "espnet_otreg.objectives",
    must_define={"build": "build its objective"},
    properties=("data_names",),
)


def register_objective(name: str) -> Callable[[Config], Config]:
    """Class decorator that lets YAML name an objective's configuration class.

    Raises:
        ValueError: if the name is empty or taken by another class.
        TypeError: if the class is no dataclass derived from ``ObjectiveConfig``, or does not say
            how to build its objective.
    """
    return OBJECTIVES.register(name)


def parse_objective(
    item: Any = DEFAULT, errors: list[str] | None = None, where: str = "objective"
) -> NamedObjective | None:
    """Read the objective that YAML gives.

    Args:
        item: ``name`` or ``{name: {key: value}}``; None stands for the default.
        errors: if given, mistakes are added to it instead of being raised.
        where: prefix of the messages.

    Returns:
        None after mistakes.

    Raises:
        ConfigErrors: with all mistakes at once, unless ``errors`` is given.

    >>> parse_objective("supervised").config
    SupervisedConfig()
    >>> parse_objective({"supervized": {}}, errors := []), errors
    (None, ["objective: unknown name 'supervized'; did you mean 'supervised'?"])
    """
    return OBJECTIVES.parse_one(DEFAULT if item is None else item, errors, where)
