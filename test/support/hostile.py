"""Values that nobody means, and what counts as a good end of a call that is given one."""

from __future__ import annotations

import ast
import functools
import math
import traceback
from pathlib import Path
from types import TracebackType

import espnet_otreg
from espnet_otreg.errors import UserError

PACKAGE = Path(espnet_otreg.__file__).resolve().parent

# What a command line can be given.
WORDS = {
    "empty": "",
    "nan": "nan",
    "inf": "inf",
    "negative": "-1",
    "zero": "0",
    "huge": "9" * 30,
    "word": "no_such_thing",
    "unicode": "Ünï/\u202e\U0001f600\n",
    "long": "x" * 5000,
}
NO_NUMBERS = ("empty", "nan", "inf", "word", "unicode", "long")

# What a function can be given.
VALUES = {
    "none": None,
    "empty": "",
    "nan": math.nan,
    "number": -3,
    "huge": 10**30,
    "unicode": "Ünï/\u202e\U0001f600\n",
    "list": [],
    "mapping": {"a": None},
    "object": object(),
    "bytes": b"\xff\x00",
}


@functools.cache
def _raises(path: str) -> frozenset[int]:
    """The lines of a file that belong to a ``raise`` statement."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return frozenset(
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    )


def is_on_purpose(error: BaseException, trace: TracebackType | None) -> bool:
    """Whether this package raised the error itself: an accident inside has no ``raise`` of ours."""
    if isinstance(error, (UserError, OSError)):
        return True
    last = traceback.extract_tb(trace)[-1]
    ours = Path(last.filename).resolve().is_relative_to(PACKAGE)
    return ours and isinstance(error, ValueError) and last.lineno in _raises(last.filename)


def is_sentence(message: str) -> bool:
    """One line that says something."""
    return 10 <= len(message.strip()) and "\n" not in message.strip()
