"""A quicker start of ESPnet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from espnet_otreg.startup import postponed, without_garbage_collection

# What ESPnet's task and trainer import and a training does not use, unless it is asked for: LoRA of
# ESPnet's own (with s3prl and wav2vec 2.0), a class of text-to-speech whose attention would be
# plotted, a service that draws curves.
POSTPONED = (
    "espnet2.layers.create_adapter",
    "espnet2.gan_tts.jets.alignments",
    "wandb",
)


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


@contextlib.contextmanager
def quick_start() -> Iterator[None]:
    """ESPnet's task is imported inside in half of the time, and forgotten at the end in less.

    >>> with quick_start():
    ...     import typeguard
    ...     typeguard.typechecked is _as_it_is
    True
    """
    with without_garbage_collection(), without_type_checks(), postponed(POSTPONED):
        yield
