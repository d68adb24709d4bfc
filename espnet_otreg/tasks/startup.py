"""A quicker start of ESPnet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


def _as_it_is(target: Any = None, **options: Any) -> Any:
    """Stands for ``typechecked``, as a decorator with and without arguments."""
    return target if target is not None else _as_it_is


@contextlib.contextmanager
def without_type_checks() -> Iterator[None]:
    """What is imported inside goes without typeguard's checks at run time.

    ESPnet marks its functions with ``typechecked``, which parses and compiles each of them anew in
    every process: a third of the time until a training starts. Our own configuration checks come
    before.

    >>> import typeguard
    >>> def frames(seconds: float) -> int:
    ...     return round(50 * seconds)
    >>> with without_type_checks():
    ...     typeguard.typechecked(frames) is frames
    True
    >>> typeguard.typechecked is _as_it_is
    False
    """
    import typeguard

    checked: Callable[..., Any] = typeguard.typechecked
    typeguard.typechecked = _as_it_is
    try:
        yield
    finally:
        typeguard.typechecked = checked
