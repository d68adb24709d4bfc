"""The machine and the programs that an experiment ran with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import espnet_otreg

_PACKAGES = ("espnet", "torch", "transformers", "peft", "jiwer", "numpy")


def environment() -> dict[str, str]:
    """Date, versions, commit and hardware, in the order in which they are printed.

    >>> list(environment())[:3]
    ['date', 'python', 'espnet_otreg']
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "espnet_otreg": espnet_otreg.__version__,
        **{name: _version(name) for name in _PACKAGES},
        "git commit": _commit(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "memory": _memory(),
        "GPU": _gpu(),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _output(*command: str) -> str | None:
    """What a command prints, or None if it cannot be run."""
    if shutil.which(command[0]) is None:
        return None
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def _commit() -> str:
    here = str(Path(__file__).parent)
    commit = _output("git", "-C", here, "rev-parse", "HEAD")
    if not commit:
        return "unknown (not a git checkout)"
    changed = _output("git", "-C", here, "status", "--porcelain", "--untracked-files=no")
    return commit + (" with uncommitted changes" if changed else "")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    name = re.search(r"model name\s*: (.+)", text)
    return f"{name[1] if name else platform.machine()}, {_usable_cores()} cores"


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    meminfo = Path("/proc/meminfo")
    text = meminfo.read_text(encoding="utf-8") if meminfo.exists() else ""
    total = re.search(r"MemTotal:\s*(\d+) kB", text)
    return f"{int(total[1]) / 2**20:.1f} GiB" if total else "unknown"


def _gpu() -> str:
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return ", ".join(names.splitlines()) if names else "none"
