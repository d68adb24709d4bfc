"""How much of a training's time goes into waiting for data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def data_wait_share(statistics: Mapping[str, Sequence[Any]]) -> float:
    """The part of an epoch's time in which the next batch was not there yet.

    More worker processes (``num_workers``) help where it is large.

    Args:
        statistics: what ESPnet's reporter noted at each step, in seconds: ``iter_time``, the wait
            for a batch, and ``train_time``, the whole step with that wait in it.

    Returns:
        Between 0 and 1; 0 if no step was taken.

    >>> from types import SimpleNamespace as Value
    >>> data_wait_share({"iter_time": [Value(value=0.1)], "train_time": [Value(value=2.0)]})
    0.05
    """
    waited, trained = (
        math.fsum(
            float(noted.value)
            for noted in statistics.get(name, ())
            # With accumulated gradients only every n-th batch ends a step.
            if not math.isnan(noted.value)
        )
        for name in ("iter_time", "train_time")
    )
    return waited / trained if trained else 0.0
