"""Regularizers by name: our own, and those other packages bring by entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from espnet_otreg.config import did_you_mean, parse_config
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.regularizers.base import (
    RESERVED_STATISTICS,
    Regularizer,
    RegularizerConfig,
)

ENTRY_POINT_GROUP = "espnet_otreg.regularizers"

Config = TypeVar("Config", bound=RegularizerConfig)

_registered: dict[str, type[RegularizerConfig]] = {}


@dataclass(frozen=True)
class NamedRegularizer:
    """A regularizer as YAML names it; built at first use, once."""

    name: str
    config: RegularizerConfig

    @cached_property
    def regularizer(self) -> Regularizer:
        """The built regularizer."""
        return self.config.build()


def register_regularizer(name: str) -> Callable[[type[Config]], type[Config]]:
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

    def register(cls: type[Config]) -> type[Config]:
        if not (isinstance(cls, type) and issubclass(cls, RegularizerConfig)):
            raise TypeError(f"{cls!r} is not a dataclass derived from RegularizerConfig")
        taken = _registered.get(name, cls)
        if taken is not cls:
            raise ValueError(
                f"a regularizer named {name!r} exists: {taken.__module__}.{taken.__qualname__}"
            )
        if not (isinstance(name, str) and name.strip()) or name in RESERVED_STATISTICS:
            raise ValueError(f"a regularizer cannot be named {name!r}: the training reports that")
        fields = [kind for kind in cls.__annotations__.values() if "ClassVar" not in str(kind)]
        if fields and "__dataclass_params__" not in vars(cls):
            raise TypeError(f"{cls!r} is no dataclass: put @dataclass(frozen=True) before it")
        if cls.build is RegularizerConfig.build:
            raise TypeError(f"{cls!r} does not say how to build its regularizer: define build()")
        _registered[name] = cls
        return cls

    return register


def _plugins(errors: list[str], where: str) -> dict[str, EntryPoint]:
    """Entry points by name; two packages that bring the same name are a mistake."""
    plugins: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        # The same package may be found twice on the path: one value is one regularizer.
        if plugins.setdefault(point.name, point).value != point.value or (
            point.name in _registered and not _is_registered_as(point)
        ):
            errors.append(
                f"{where}: two packages bring a regularizer named {point.name!r}, one of them as "
                f"{point.value}"
            )
    return plugins


def _is_registered_as(point: EntryPoint) -> bool:
    cls = _registered[point.name]
    return point.value == f"{cls.__module__}:{cls.__qualname__}"


def _load(point: EntryPoint, where: str, errors: list[str]) -> None:
    """Register the class of an entry point; a package that cannot be loaded is a user's error."""
    try:
        register_regularizer(point.name)(point.load())
    except (Exception, SystemExit) as error:  # whatever someone else's module raises
        errors.append(
            f"{where}: cannot be loaded from {point.value}: {type(error).__name__}: {error}"
        )


def _name_and_fields(item: Any, where: str, errors: list[str]) -> tuple[str, Mapping[str, Any]]:
    """Split ``name`` or ``{name: {key: value}}``; an empty name after an error."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        name, fields = next(iter(item.items()))
        return str(name), {} if fields is None else fields
    errors.append(f"{where}: expected a name or one 'name: {{key: value}}', found {item!r}")
    return "", {}


def _configure(
    cls: type[RegularizerConfig], fields: Mapping[str, Any], where: str, errors: list[str]
) -> RegularizerConfig | None:
    """A configuration from its fields, or None after errors, those of its own code included."""
    try:
        config = parse_config(cls, fields, where, errors)
        if config is not None:
            bool(config.needs_readout), bool(config.needs_start)
        return config
    except Exception as error:
        if cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
            raise  # a defect of ours keeps its traceback
        errors.append(
            f"{where}: {cls.__module__}.{cls.__qualname__} raised {type(error).__name__}: {error}"
        )
        return None


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
    found: list[str] = []
    named: list[NamedRegularizer] = []
    if not isinstance(items, (list, tuple)):
        found.append(f"{where}: expected a list, found {items!r}")
        items = []
    plugins = _plugins(found, where) if items else {}
    seen: set[str] = set()
    for item in items:
        name, fields = _name_and_fields(item, where, found)
        if not name:
            continue
        if name in seen:
            found.append(f"{where}.{name}: named twice")
            continue
        seen.add(name)
        if name not in _registered and name in plugins:
            _load(plugins[name], f"{where}.{name}", found)
        elif name not in _registered:
            hint = did_you_mean(name, {*_registered, *plugins})
            found.append(f"{where}: unknown name {name!r}; {hint}")
        if name in _registered:
            config = _configure(_registered[name], fields, f"{where}.{name}", found)
            if config is not None:
                named.append(NamedRegularizer(name, config))
    if errors is not None:
        errors.extend(found)
    elif found:
        raise ConfigErrors(found)
    return named
