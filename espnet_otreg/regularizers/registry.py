"""Regularizers by name: our own, and those other packages bring by entry point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from espnet_otreg.registry import Named, Registry
from espnet_otreg.regularizers.base import (
    RESERVED_STATISTICS,
    Regularizer,
    RegularizerConfig,
)

Config = TypeVar("Config", bound=type[RegularizerConfig])

REGULARIZERS = Registry(
    "regularizer",
    RegularizerConfig,
    "espnet_otreg.regularizers",
    must_define={"build": "build its regularizer"},
    reserved=dict.fromkeys(RESERVED_STATISTICS, "the training reports that"),
    properties=("needs_readout", "needs_start"),
)


@dataclass(frozen=True)
class NamedRegularizer(Named[RegularizerConfig]):
    """A regularizer as YAML names it; built at first use, once."""

    @cached_property
    def regularizer(self) -> Regularizer:
        """The built regularizer."""
        return self.config.build()


def register_regularizer(name: str) -> Callable[[Config], Config]:
    """Class decorator that lets YAML name a regularizer's configuration class.

    Raises:
        ValueError: if the name is empty, taken by another class, or that of a statistic of the
            training, which the regularizer's would overwrite.
        TypeError: if the class is no dataclass derived from ``RegularizerConfig``, or does not say
            how to build its regularizer.

    >>> @register_regularizer("otreg")
    ... @dataclass(frozen=True)
    ... class Mine(RegularizerConfig):
    ...     pass
    Traceback (most recent call last):
    ValueError: a regularizer named 'otreg' exists: espnet_otreg.regularizers.otreg.OTRegConfig
    """
    return REGULARIZERS.register(name)


def parse_regularizers(
    items: Any, errors: list[str] | None = None, where: str = "regularizers"
) -> list[NamedRegularizer]:
    """Read the list of regularizers that YAML gives.

    Args:
        items: list of ``name`` or ``{name: {key: value}}``, for instance
            ``[{"otreg": {"weight": 0.3}}, "ctc"]``.
        errors: if given, mistakes are added to it instead of being raised.
        where: prefix of the messages.

    Raises:
        ConfigErrors: with all mistakes at once, unless ``errors`` is given.

    >>> parse_regularizers([{"ctc": {"weight": 0.5}}])[0].config.weight
    0.5
    >>> errors = []
    >>> parse_regularizers([{"otrge": None}, {"ctc": {"wieght": 1}}], errors), len(errors)
    ([], 2)
    >>> errors[0]
    "regularizers: unknown name 'otrge'; did you mean 'otreg'?"
    """
    named = REGULARIZERS.parse(items, errors, where)
    return [NamedRegularizer(item.name, item.config) for item in named]
