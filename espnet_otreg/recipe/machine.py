"""How fast this machine is at what a recipe spends its time with, measured in a few seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from espnet_otreg.errors import UserError

# Products as in the layers of the small models: many frames, few hundred features. The faster one
# of the precisions counts, since trainings choose it (precision: auto).
_PROGRAM = """
import time
started = time.perf_counter()
import torch, transformers
starting = time.perf_counter() - started
best = []
for dtype in (torch.float32, torch.bfloat16):
    x, w = torch.randn(1024, 512, dtype=dtype), torch.randn(512, 512, dtype=dtype)
    rates = []
    for part in range(4):
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 0.25:
            x @ w
            count += 1
        rates.append(2 * 1024 * 512 * 512 * count / (time.perf_counter() - started) / 1e9)
    best = max(best, rates[1:], key=lambda rates: sum(rates))  # the first one only warms up
import json
print(json.dumps({"starting": starting, "products": best}))
"""


@dataclass(frozen=True)
class Machine:
    """Speeds of a machine.

    Attributes:
        processor: its name and the number of processors for this process.
        starting: seconds until a program has imported PyTorch and Transformers.
        products: 10^9 operations a second in products of matrices, lowest and highest of several
            measurements.
    """

    processor: str
    starting: float
    products: tuple[float, float]


def processor_name() -> str:
    """The processor as Linux names it, with how many of them this process may use."""
    import os
    import platform

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line for line in file if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    except OSError:
        pass
    return f"{name}, {len(os.sched_getaffinity(0))} threads"


def measure() -> Machine:
    """Measure this machine, in a program of its own: about three seconds and a start of Python.

    Raises:
        UserError: if that program fails.
    """
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"this machine could not be measured ({done.stderr.strip()[-200:]})")
    found = json.loads(done.stdout)
    products = found["products"]
    return Machine(processor_name(), found["starting"], (min(products), max(products)))
