"""A quicker start: modules that are imported when they are used, no search for garbage amid it."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import operator
import sys
from collections.abc import Callable, Collection, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Decorators that tell the compiler what to do with a function, and nothing to anybody else.
_MARKS = ("allow_in_graph", "assume_constant_result", "disable")
# Functions about sizes, and what they are if the sizes are numbers: PyTorch asks them where a model
# is built without memory, as Transformers does before it reads the weights.
_PLAIN: dict[str, Callable[..., bool]] = {
    "expect_true": bool,
    "guard_or_false": bool,
    "guard_or_true": bool,
    "statically_known_true": bool,
    "is_nested_int": lambda size: False,
    "sym_eq": operator.eq,
    "sym_and": lambda *conditions: all(conditions),
    "sym_or": lambda *conditions: any(conditions),
}


def _is_number(value: Any) -> bool:
    """Whether it is a number or a shape of numbers, with nothing to be solved."""
    return all(map(_is_number, value)) if type(value) is tuple else type(value) in (bool, int)


def _as_it_is(function: Any = None, *options: Any, **named: Any) -> Any:
    """Stands for a mark of the compiler, as a decorator with and without arguments."""
    return function if callable(function) else _as_it_is


class _Postponed:
    """Stands for a member of a module until it is called or looked into; imports it then."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _found(self) -> Any:
        return getattr(_import_now(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._name in _PLAIN and not kwargs and all(map(_is_number, args)):
            return _PLAIN[self._name](*args)
        return self._found()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found(), name)

    def __instancecheck__(self, instance: Any) -> bool:
        # Nothing is an instance of a class whose module has not been read.
        read = not isinstance(sys.modules.get(self._module), _StandIn | None)
        return read and isinstance(instance, self._found())

    def __mro_entries__(self, bases: Any) -> tuple[Any, ...]:
        return (self._found(),)

    def __or__(self, other: Any) -> Any:  # in the annotation of a parameter
        return Any

    __ror__ = __or__


class _StandIn(ModuleType):
    """Stands in ``sys.modules`` for a module that has not been read yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # a package, so that _Finder is asked for what is in it
        if "." not in name:  # whoever asks for the specification wants to know if it is installed
            self.__spec__ = importlib.util.find_spec(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _as_it_is if name in _MARKS else _Postponed(self.__name__, name)


class _Finder(MetaPathFinder, Loader):
    """Reads the real package where another module of a stand-in is imported."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        parent = sys.modules.get(fullname.rpartition(".")[0])
        return ModuleSpec(fullname, self) if isinstance(parent, _StandIn) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = _import_now(spec.name)
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It has been executed. Only its specification is put back, past a module's own __setattr__.
        vars(module)["__spec__"] = self._specs[module.__name__]


def _remove_stand_ins() -> None:
    for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
        del sys.modules[name]


def _import_now(name: str) -> ModuleType:
    """The real module. All stand-ins go, for each of these modules imports others of them."""
    _remove_stand_ins()
    return importlib.import_module(name)


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """What is imported and loaded inside is not searched for garbage, now or later.

    Python looks through all objects again whenever there are many more of them, and twice when it
    ends: with ESPnet's millions of objects half of the time of such a command that does little.

    >>> with without_garbage_collection():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def postponed(names: Collection[str]) -> Iterator[None]:
    """These modules are not imported inside, but when something of them is used.

    >>> with postponed(["sympy"]):
    ...     import sympy  # may not be read yet ...
    ...     print(sympy.gcd(12, 18))  # ... but now
    6
    """
    finder = _Finder()
    if not any(name in sys.modules for name in names):  # else there is nothing to gain
        sys.modules |= {name: _StandIn(name) for name in names}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _remove_stand_ins()
