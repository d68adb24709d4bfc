"""Configuration classes by name: our own, and those other packages bring by entry point.

Regularizers, objectives and decoding modes are each one :class:`Registry`. Nothing here imports
torch: configurations are checked before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from espnet_otreg.config import did_you_mean, parse_config
from espnet_otreg.errors import ConfigErrors

Base = TypeVar("Base")
Class = TypeVar("Class", bound=type)


@dataclass(frozen=True)
class Named(Generic[Base]):
    """A configuration with the name by which it was asked for."""

    name: str
    config: Base


class Registry(Generic[Base]):
    """Configuration classes of one kind that YAML and command lines name.

    Args:
        kind: what a class stands for, in the singular, for messages.
        base_class: the frozen dataclass that all of them derive from.
        entry_point_group: where other packages bring theirs, as ``name = module:Class``.
        must_define: methods of ``base_class`` that every class has to override, with the words
            that complete "does not say how to ...".
        reserved: names that cannot be taken, with the reason.
        properties: attributes of a configuration that are read right after it was made, so that a
            mistake in the code behind them is reported with all others.

    >>> @dataclass(frozen=True)
    ... class Animal:
    ...     legs: int = 4
    >>> animals = Registry("animal", Animal, "example.animals")
    >>> @animals.register("bird")
    ... @dataclass(frozen=True)
    ... class Bird(Animal):
    ...     legs: int = 2
    >>> animals.parse([{"bird": {"legs": 3}}])
    [Named(name='bird', config=Bird(legs=3))]
    >>> errors = []
    >>> animals.parse(["brid", {"bird": {"wings": 2}}], errors, "zoo"), len(errors)
    ([], 2)
    >>> errors[0]
    "zoo: unknown name 'brid'; did you mean 'bird'?"
    """

    def __init__(
        self,
        kind: str,
        base_class: type[Base],
        entry_point_group: str,
        *,
        must_define: Mapping[str, str] | None = None,
        reserved: Mapping[str, str] | None = None,
        properties: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.base_class = base_class
        self.entry_point_group = entry_point_group
        self._a_kind = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
        self._must_define = dict(must_define or {})
        self._reserved = dict(reserved or {})
        self._properties = tuple(properties)
        self._registered: dict[str, type[Base]] = {}

    def register(self, name: str) -> Callable[[Class], Class]:
        """Class decorator that lets a configuration name the class.

        Raises:
            ValueError: if the name is empty, reserved, or taken by another class.
            TypeError: if the class is no dataclass derived from ``base_class``, or does not
                override a method that it has to.
        """

        def register(cls: Class) -> Class:
            self._check(name, cls)
            self._registered[name] = cls
            return cls

        return register

    def _check(self, name: str, cls: Any) -> None:
        """Raise what :meth:`register` raises."""
        base = self.base_class
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise TypeError(f"{cls!r} is not a dataclass derived from {base.__name__}")
        taken = self._registered.get(name, cls)
        if taken is not cls:
            raise ValueError(
                f"{self._a_kind} named {name!r} exists: {taken.__module__}.{taken.__qualname__}"
            )
        if not (isinstance(name, str) and name.strip()) or name in self._reserved:
            reason = self._reserved.get(name, "a name has letters")
            raise ValueError(f"{self._a_kind} cannot be named {name!r}: {reason}")
        fields = [kind for kind in cls.__annotations__.values() if "ClassVar" not in str(kind)]
        if fields and "__dataclass_params__" not in vars(cls):
            raise TypeError(f"{cls!r} is no dataclass: put @dataclass(frozen=True) before it")
        for method, purpose in self._must_define.items():
            if getattr(cls, method) is getattr(base, method):
                raise TypeError(f"{cls!r} does not say how to {purpose}: define {method}()")

    def names(self) -> list[str]:
        """All names, sorted; no other package is imported for it."""
        points = entry_points(group=self.entry_point_group)
        return sorted({*self._registered, *(point.name for point in points)})

    def classes(
        self, errors: list[str] | None = None, where: str | None = None
    ) -> dict[str, type[Base]]:
        """All classes by name; those of other packages are imported for it.

        Args:
            errors: if given, mistakes of other packages are added to it instead of being raised,
                and their classes are left out.
            where: prefix of the messages; the kind if not given.

        Raises:
            ConfigErrors: with all mistakes at once, unless ``errors`` is given.
        """
        found: list[str] = []
        where = where or self.kind
        for name, point in self._plugins(found, where).items():
            if name not in self._registered:
                self._load(point, f"{where}.{name}", found)
        _report(found, errors)
        return dict(self._registered)

    def parse(
        self, items: Any, errors: list[str] | None = None, where: str | None = None
    ) -> list[Named[Base]]:
        """Read a list of ``name`` or ``{name: {key: value}}``.

        Args:
            items: as YAML gives it.
            errors: if given, mistakes are added to it instead of being raised.
            where: prefix of the messages; the kind if not given.

        Returns:
            The configurations without mistakes.

        Raises:
            ConfigErrors: with all mistakes at once, unless ``errors`` is given.
        """
        found: list[str] = []
        where = where or self.kind
        if not isinstance(items, (list, tuple)):
            found.append(f"{where}: expected a list, found {items!r}")
            items = []
        named = self._parse_items(items, where, found)
        _report(found, errors)
        return named

    def parse_one(
        self, item: Any, errors: list[str] | None = None, where: str | None = None
    ) -> Named[Base] | None:
        """Read one ``name`` or ``{name: {key: value}}``; None after mistakes.

        Args:
            item: as YAML gives it.
            errors, where: as for :meth:`parse`.

        Raises:
            ConfigErrors: with all mistakes at once, unless ``errors`` is given.
        """
        found: list[str] = []
        named = self._parse_items([item], where or self.kind, found)
        _report(found, errors)
        return named[0] if named else None

    def _parse_items(
        self, items: Sequence[Any], where: str, errors: list[str]
    ) -> list[Named[Base]]:
        named: list[Named[Base]] = []
        plugins = self._plugins(errors, where) if items else {}
        seen: set[str] = set()
        for item in items:
            name, fields = _name_and_fields(item, where, errors)
            if not name:
                continue
            if name in seen:
                errors.append(f"{where}.{name}: named twice")
                continue
            seen.add(name)
            if name not in self._registered and name in plugins:
                self._load(plugins[name], f"{where}.{name}", errors)
            elif name not in self._registered:
                hint = did_you_mean(name, {*self._registered, *plugins})
                errors.append(f"{where}: unknown name {name!r}; {hint}")
            if name in self._registered:
                config = self._configure(name, fields, f"{where}.{name}", errors)
                if config is not None:
                    named.append(Named(name, config))
        return named

    def _plugins(self, errors: list[str], where: str) -> dict[str, EntryPoint]:
        """Entry points by name; two packages that bring the same name are a mistake."""
        plugins: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.entry_point_group):
            # The same package may be found twice on the path: one value is one class.
            if plugins.setdefault(point.name, point).value != point.value or (
                point.name in self._registered and not self._is_registered_as(point)
            ):
                errors.append(
                    f"{where}: two packages bring {self._a_kind} named {point.name!r}, one of "
                    f"them as {point.value}"
                )
        return plugins

    def _is_registered_as(self, point: EntryPoint) -> bool:
        cls = self._registered[point.name]
        return point.value == f"{cls.__module__}:{cls.__qualname__}"

    def _load(self, point: EntryPoint, where: str, errors: list[str]) -> None:
        """Register the class of an entry point; one that cannot be loaded is a user's error."""
        try:
            self.register(point.name)(point.load())
        except (Exception, SystemExit) as error:  # whatever someone else's module raises
            errors.append(
                f"{where}: cannot be loaded from {point.value}: {type(error).__name__}: {error}"
            )

    def _configure(
        self, name: str, fields: Mapping[str, Any], where: str, errors: list[str]
    ) -> Base | None:
        """A configuration from its fields, or None after errors, those of its code included."""
        cls = self._registered[name]
        try:
            config = parse_config(cls, fields, where, errors)
            if config is not None:
                for each in self._properties:
                    bool(getattr(config, each))
            return config
        except Exception as error:
            if cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
                raise  # a defect of ours keeps its traceback
            errors.append(
                f"{where}: {cls.__module__}.{cls.__qualname__} raised {type(error).__name__}: "
                f"{error}"
            )
            return None


def _name_and_fields(item: Any, where: str, errors: list[str]) -> tuple[str, Mapping[str, Any]]:
    """Split ``name`` or ``{name: {key: value}}``; an empty name after an error."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        name, fields = next(iter(item.items()))
        return str(name), {} if fields is None else fields
    errors.append(f"{where}: expected a name or one 'name: {{key: value}}', found {item!r}")
    return "", {}


def _report(found: list[str], errors: list[str] | None) -> None:
    """Add mistakes to those of others, or raise them."""
    if errors is not None:
        errors.extend(found)
    elif found:
        raise ConfigErrors(found)
