"""Our options of how a training goes, beside those of the model; no torch is loaded here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from espnet_otreg.config import did_you_mean

PRECISIONS = ("float32", "bfloat16", "auto")
TRAINING_OPTIONS = ("lr_scale", "precision", "batch_jitter")


def training_option_errors(values: Mapping[str, Any]) -> list[str]:
    """Every mistake in the values of :data:`TRAINING_OPTIONS`.

    Args:
        values: of a YAML file and a command line, whose numbers may be texts.

    >>> training_option_errors({"lr_scale": {"^encoder[.]": 0.3}, "precision": "auto"})
    []
    >>> training_option_errors({"lr_scale": {"(": 1}, "precision": "bf16", "batch_jitter": 2})
    ["lr_scale: '(' is not a regular expression (missing ), unterminated subpattern at position \
0)", "precision: unknown 'bf16'; did you mean 'bfloat16'?", 'batch_jitter: must be in [0, 1), \
found 2']
    """
    errors = []
    scales = values.get("lr_scale") or {}
    if not isinstance(scales, Mapping):
        errors.append(f"lr_scale: expected regular expressions and numbers, found {scales!r}")
        scales = {}
    for pattern, scale in scales.items():
        try:
            re.compile(str(pattern))
        except re.error as error:
            errors.append(f"lr_scale: {pattern!r} is not a regular expression ({error})")
        if not _between(scale, 0, math.inf) or not float(scale):
            errors.append(f"lr_scale: expected a positive number for {pattern!r}, found {scale!r}")
    precision = values.get("precision", PRECISIONS[0])
    if precision not in PRECISIONS:
        hint = did_you_mean(str(precision), PRECISIONS)
        errors.append(f"precision: unknown {precision!r}; {hint}")
    elif precision != PRECISIONS[0] and str(values.get("use_amp")).lower() == "true":
        errors.append("use_amp: not with precision; remove one of them")
    jitter = values.get("batch_jitter", 0.0)
    if not _between(jitter, 0, 1):
        errors.append(f"batch_jitter: must be in [0, 1), found {jitter}")
    return errors


def _between(value: Any, low: float, high: float) -> bool:
    try:
        return not isinstance(value, bool) and low <= float(value) < high
    except (TypeError, ValueError):
        return False
