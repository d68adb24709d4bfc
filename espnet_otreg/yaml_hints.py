"""Hints for values that YAML reads as another type than the one meant."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import Any


def text_hint(value: Any) -> str:
    """What to write where a text is expected and YAML has read something else; may be empty.

    >>> text_hint(False)
    '; YAML reads no, off and false as False, write the text in quotes'
    >>> text_hint(["a", 3])
    '; YAML reads 3 as a number, write the text in quotes'
    >>> text_hint({"it": {"speech": None}})  # it: {speech}
    '; YAML reads {speech} as a mapping, write the text in quotes'
    >>> text_hint("no")
    ''
    """
    if isinstance(value, Mapping):
        for inner in value.values():
            if isinstance(inner, Mapping) and list(inner.values()) == [None]:
                braces = f"{{{next(iter(inner))}}}"
                return f"; YAML reads {braces} as a mapping, write the text in quotes"
        return next(filter(None, map(text_hint, value.values())), "")
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(text_hint, value)), "")
    if isinstance(value, bool):
        words = "yes, on and true" if value else "no, off and false"
        return f"; YAML reads {words} as {value}, write the text in quotes"
    if isinstance(value, (int, float)):
        return f"; YAML reads {value} as a number, write the text in quotes"
    if isinstance(value, datetime.date):
        return f"; YAML reads {value} as a date, write the text in quotes"
    return ""


def number_hint(value: Any) -> str:
    """What to write where a number is expected and YAML has read a text; may be empty.

    >>> number_hint("1e-4"), number_hint("08"), number_hint("high")
    ("; '1e-4' is text for YAML, write 1.0e-4", "; '08' is text for YAML, write 8", '')
    """
    texts = value if isinstance(value, (list, tuple)) else [value]
    for text in texts:
        if isinstance(text, str) and is_number(text) and math.isfinite(float(text)):
            mantissa, e, exponent = text.strip().lower().partition("e")
            if e:
                better = f"{float(mantissa)}e{exponent}"
            else:  # a zero in front would make a text or an octal number of it again
                better = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", mantissa)
            return f"; '{text}' is text for YAML, write {better}"
    return ""


def is_number(text: str) -> bool:
    """Whether Python reads a text as a number.

    >>> is_number("1e-4"), is_number("four")
    (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True
