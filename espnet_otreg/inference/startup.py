"""A quicker start of commands that run a model and neither train nor compile it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from espnet_otreg.startup import postponed, without_garbage_collection

# What PyTorch and Transformers import on the way to a model that runs as it is, and do not call:
# the compiler, attention written for it, the algebra of shapes that are not known yet, what
# losses of models that see need, and a second reader of audio files.
POSTPONED = (
    "torch._dynamo",
    "torch._dynamo._trace_wrapped_higher_order_op",
    "torch.nn.attention.flex_attention",
    "torch.fx.experimental.symbolic_shapes",
    "sympy",
    "scipy.optimize",
    "torchaudio",
)


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """PyTorch's compiler and its distribution over processes are not imported inside.

    Transformers imports both with any model, and sympy with them, although a model that runs on
    one device as it is calls neither: nearly half of the time until the first text. What is called
    after all is imported then. Where PyTorch says that it is built without distribution,
    Transformers leaves its own out and cannot take it up again in this process: this is for a
    command, not for a function of the library.

    >>> with without_compiler():
    ...     import sympy  # may not be read yet ...
    ...     print(sympy.gcd(12, 18))  # ... but now
    6
    """
    with without_garbage_collection():
        import torch

    available = torch.distributed.is_available
    torch.distributed.is_available = lambda: False
    try:
        with postponed(POSTPONED):
            yield
    finally:
        torch.distributed.is_available = available
