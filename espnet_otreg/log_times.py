"""What of a step's time its logs say: starting programs, downloading.

Python writes what each import took where ``PYTHONPROFILEIMPORTTIME`` is set, and what is fetched is
told with its seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

# Of imports inside of others only the outermost count: it has a single space before its name.
_IMPORT = re.compile(r"^import time: *\d+ \| *(\d+) \| [^ ]", re.M)
_FETCHED = re.compile(r" MB fetched in (\d+\.\d) s$", re.M)


def fetched(name: str, files: Sequence[Path], seconds: float) -> str:
    """The line of a log that says how long it took to fetch files."""
    size = sum(file.stat().st_size for file in files)
    return f"{name}: {size / 1e6:.1f} MB fetched in {seconds:.1f} s"


def spent(text: str) -> dict[str, float]:
    r"""Seconds of imports (``starting``) and of downloads (``downloading``) in a log, where it
    tells of them.

    Several downloads at the same time count each.

    >>> spent("import time: 5 | 900000 |   torch.nn\nimport time: 7 | 2000000 | torch\n")
    {'starting': 2.0}
    >>> spent("drascula: 26.3 MB fetched in 4.0 s\n")
    {'downloading': 4.0}
    """
    found = {
        "starting": sum(map(int, _IMPORT.findall(text))) / 1e6,
        "downloading": sum(map(float, _FETCHED.findall(text))),
    }
    return {kind: seconds for kind, seconds in found.items() if seconds > 0}


def spent_in(logs: Sequence[Sequence[str]]) -> dict[str, float]:
    r"""As :func:`spent`, of commands that ran one after another.

    Args:
        logs: of each command one log for each of its jobs, which ran at the same time.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log"
    >>> path.write_text("drascula: 26.3 MB fetched in 4.0 s\n")
    35
    >>> spent_in([[str(path)], [str(path), "/no/such/log"]])
    {'downloading': 6.0}
    """
    total: dict[str, float] = {}
    for jobs in logs:
        for log in jobs:
            text = Path(log).read_text("utf-8", "replace") if Path(log).is_file() else ""
            for kind, seconds in spent(text).items():
                total[kind] = total.get(kind, 0.0) + seconds / len(jobs)
    return {kind: round(seconds, 1) for kind, seconds in total.items()}
