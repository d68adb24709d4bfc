"""Arguments of public functions, checked against their annotations before anything is done.

An argument of a wrong type would otherwise end in an error of the first operation on it, which does
not name the argument.
"""

from __future__ import annotations

import functools
import inspect
import math
import typing
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from espnet_otreg.config import fits, type_name
from espnet_otreg.errors import UserError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_SHOWN = 60  # characters of a wrong value


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class ArgumentErrors(UserError, TypeError, ValueError):
    """Arguments of the wrong type, or NaN where a number is expected."""


def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Check the types of all arguments at each call.

    Only the types that :func:`espnet_otreg.config.fits` knows are checked; ``*args`` and
    ``**kwargs`` are not.

    >>> @checked
    ... def scale(values: list[float], factor: float = 1.0) -> list[float]:
    ...     return [factor * value for value in values]
    >>> scale([1, 2], 3)
    [3, 6]
    >>> scale("12", float("nan"))
    Traceback (most recent call last):
    ...
    espnet_otreg.arguments.ArgumentErrors: scale: values: expected list, found '12'; \
factor: expected float, found nan
    """
    signature = inspect.signature(function)

    @functools.cache
    def hints() -> dict[str, typing.Any]:  # at the first call: names may be defined further down
        return typing.get_type_hints(function)

    @functools.wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise ArgumentErrors(str(error), function.__qualname__) from None
        expected = hints()
        errors = [
            f"{name}: expected {type_name(expected[name])}, found {_short(value)}"
            for name, value in given.items()
            if name in expected
            and signature.parameters[name].kind not in _VARIABLE
            and (_is_nan(value) or not fits(value, expected[name]))
        ]
        if errors:
            raise ArgumentErrors("; ".join(errors), function.__name__)
        return function(*args, **kwargs)

    return call


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _short(value: object) -> str:
    shown = repr(value) if isinstance(value, (str, int, float, type(None))) else ""
    return shown if 0 < len(shown) <= _SHOWN else f"a value of type {type(value).__name__}"
