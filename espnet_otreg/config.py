"""Frozen dataclasses from YAML mappings, with all mistakes collected."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from espnet_otreg.yaml_hints import number_hint, text_hint

Config = TypeVar("Config")
_INTEGERS_OF_A_FLOAT = 2**53  # below it every integer is a float, too


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or the list of all names.

    >>> did_you_mean("otrge", ["otreg", "ctc"])
    "did you mean 'otreg'?"
    >>> did_you_mean("xyz", ["otreg", "ctc"])
    'known: ctc, otreg'
    >>> did_you_mean("Q_proj", ["q_proj", "v_proj"])
    "did you mean 'q_proj'?"
    """
    names = sorted(known)
    folded = {known_name.casefold(): known_name for known_name in names}
    near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=1)]
    return f"did you mean '{near[0]}'?" if near else "known: " + (", ".join(names) or "none")


def positive(**values: float) -> list[str]:
    """Messages about values that are not, or not finite.

    >>> positive(layers=2, width=0, scale=float("nan"))
    ['width: must be positive, found 0', 'scale: must be positive, found nan']
    """
    return [
        f"{name}: must be {'finite' if v == math.inf else 'positive'}, found {v}"
        for name, v in values.items()
        if not 0 < v < math.inf
    ]


def not_negative(**values: float) -> list[str]:
    """Messages about values that are negative, or not finite.

    >>> not_negative(noise=0.0, weight=-1.0)
    ['weight: must not be negative, found -1.0']
    >>> not_negative(weight=float("nan"))
    ['weight: must be finite, found nan']
    """
    return [
        f"{name}: must {'not be negative' if v < 0 else 'be finite'}, found {v}"
        for name, v in values.items()
        if not 0 <= v < math.inf
    ]


def probability(**values: float) -> list[str]:
    """Messages about values that are not in [0, 1).

    >>> probability(dropout=1.5)
    ['dropout: must be in [0, 1), found 1.5']
    """
    return [f"{name}: must be in [0, 1), found {v}" for name, v in values.items() if not 0 <= v < 1]


def fits(value: Any, expected: Any) -> bool:
    """Whether a value is of an annotated type.

    An int is a fine float, but a bool is no int; a text is no sequence of texts. Of a type that is
    not known here (a ``TypeVar``, ``Any``, ``BinaryIO``) every value is.

    >>> fits(1, float), fits(True, int)
    (True, False)
    >>> fits("ab", Sequence[str]), fits(["ab"], Sequence[str])
    (False, True)
    """
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is tuple and arguments[-1] is not Ellipsis:
        of_that_size = isinstance(value, (list, tuple)) and len(value) == len(arguments)
        return of_that_size and all(map(fits, value, arguments))
    if origin in (tuple, list):
        return isinstance(value, (list, tuple)) and all(fits(v, arguments[0]) for v in value)
    if origin is Sequence:
        of_one_kind = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        return of_one_kind and all(fits(v, arguments[0]) for v in value)
    if origin is dict or expected is dict or origin is Mapping:
        return isinstance(value, Mapping) and all(
            fits(k, arguments[0]) and fits(v, arguments[1]) for k, v in value.items() if arguments
        )
    if origin is Callable:
        return callable(value)
    if expected in (None, type(None)):
        return value is None
    if expected is float:
        if isinstance(value, numbers.Integral):
            return not isinstance(value, bool) and abs(int(value)) < _INTEGERS_OF_A_FLOAT
        return isinstance(value, numbers.Real)
    if expected is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    kind = origin or expected
    known = isinstance(kind, type) and kind.__module__ != "typing"  # not Any, BinaryIO, ...
    return not known or isinstance(value, kind)


def _hint(value: Any, expected: Any) -> str:
    """What to write where YAML has read another kind of value than the one that was meant."""
    hint = text_hint(value) if "str" in str(expected) or "Literal['" in str(expected) else ""
    return hint or number_hint(value)


def type_name(expected: Any) -> str:
    """An annotated type as a reader of a message knows it.

    >>> type_name(int | None), type_name(typing.Literal["a", "b"]), type_name(tuple[str, ...])
    ('int | None', "one of 'a', 'b'", 'list')
    """
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(map(type_name, arguments))
    if origin is typing.Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(map(repr, arguments))
    if expected is type(None):
        return "None"
    kind = list if origin is tuple else origin or expected  # YAML has lists only
    return kind.__name__ if isinstance(kind, type) else str(expected)


def parse_config(
    cls: type[Config], values: Mapping[str, Any], where: str, errors: list[str]
) -> Config | None:
    """Make the dataclass ``cls`` from a YAML mapping, adding every mistake to ``errors``.

    Unknown and missing keys and wrong types are found here; values are checked by the class's
    own ``validate() -> list[str]`` where it has one. Lists become tuples.

    Args:
        cls: a frozen dataclass.
        values: what YAML gave.
        where: prefix of the messages, for instance ``"projector_conf"``.
        errors: is extended; ``None`` is returned if anything was added.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Small:
    ...     epsilon: float = 0.1
    >>> errors = []
    >>> parse_config(Small, {"epsilom": 1.0}, "otreg", errors), errors
    (None, ["otreg.epsilom: unknown key; did you mean 'epsilon'?"])
    >>> parse_config(Small, {"epsilon": 1}, "otreg", [])
    Small(epsilon=1)
    """
    found = len(errors)
    if not isinstance(values, Mapping):
        errors.append(f"{where}: expected keys and values, found {values!r}")
        return None
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            errors.append(f"{where}.{key}: unknown key; {did_you_mean(str(key), fields)}")
        elif not fits(value, hints[key]):
            expected = type_name(hints[key])
            hint = _hint(value, hints[key])
            errors.append(f"{where}.{key}: expected {expected}, found {value!r}{hint}")
        else:
            arguments[key] = tuple(value) if isinstance(value, list) else value
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in values:
            errors.append(f"{where}.{name}: missing")
    if len(errors) > found:
        return None
    config = cls(**arguments)
    validate = getattr(config, "validate", None)
    if validate is not None:
        errors.extend(f"{where}.{message}" for message in validate())
    return config if len(errors) == found else None


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested YAML as dotted keys and printed values.

    >>> flatten({"optim_conf": {"lr": 0.1}, "regularizers": [{"otreg": {"weight": 0.3}}]})
    {'optim_conf.lr': '0.1', 'regularizers.0.otreg.weight': '0.3'}
    >>> flatten({"a": [], "b": None})
    {'a': '[]', 'b': 'null'}
    """
    if isinstance(value, Mapping) and value:
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, (list, tuple)) and value:
        items = enumerate(value)
    else:
        return {prefix: value if isinstance(value, str) else json.dumps(value, default=str)}
    flat: dict[str, str] = {}
    for key, inner in items:
        flat.update(flatten(inner, f"{prefix}.{key}" if prefix else str(key)))
    return flat
