"""In which floating-point precision, and with how many threads, networks are fastest.

Processors with matrix units for bfloat16 (AMX) multiply it several times faster than float32,
others convert it and lose; two threads of one core wait for each other where cores of their own
would halve the time. So ``auto`` measures. Losses and transport stay in float32, see
:func:`working_dtype`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from espnet_otreg.files import read_json, write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Frames of eight seconds, and Whisper base's widest layer.
_FRAMES, _WIDTH, _WIDER = 400, 512, 2048
_ROUNDS, _LONGEST = 7, 2.0  # seconds after which three rounds are enough
# Less than this is not worth another rounding, or a second thread.
_WORTH = {"bfloat16": 1.5, "threads": 1.3}


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """The precision that losses are computed in: float64 if any tensor has it, else float32.

    >>> working_dtype(torch.zeros(1, dtype=torch.bfloat16))
    torch.float32
    """
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if double else torch.float32


@dataclass(frozen=True)
class Precision:
    """How the networks compute.

    Attributes:
        dtype: ``"float32"`` or ``"bfloat16"``, of products; weights stay what they are.
        threads: of the processor; None for as many as there are.
    """

    dtype: str = "float32"
    threads: int | None = None

    def autocast(self, device: torch.device | str) -> contextlib.AbstractContextManager[object]:
        """Inside, the products of networks on this device have the precision.

        An autocast of somebody else is left alone by float32.

        >>> weight = torch.ones(2, 2)
        >>> with Precision("bfloat16").autocast("cpu"):
        ...     (weight @ weight).dtype
        torch.bfloat16
        """
        if self.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(torch.device(device).type, DTYPES[self.dtype])

    def use_threads(self) -> None:
        """Let this process compute with the threads."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)


def _seconds(dtype: str, device: str) -> float:
    """The time of one product, forward and backward, as a layer makes it."""
    frames = torch.ones(_FRAMES, _WIDTH, dtype=DTYPES[dtype], device=device)
    weight = torch.ones(_WIDER, _WIDTH, dtype=DTYPES[dtype], device=device)
    start = time.perf_counter()
    (frames @ weight.T) @ weight
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def choose_precision(seconds: dict[tuple[str, int], float]) -> Precision:
    """The fastest of what was measured, or something simpler that is nearly as fast.

    Args:
        seconds: of the same work, by precision and number of threads; float32 with one thread and
            with most threads must be there.

    >>> choose_precision({("float32", 1): 8.0, ("float32", 2): 7.0, ("bfloat16", 1): 1.0,
    ...                   ("bfloat16", 2): 0.9})
    Precision(dtype='bfloat16', threads=1)
    >>> choose_precision({("float32", 1): 8.0, ("float32", 8): 1.2, ("bfloat16", 1): 9.0,
    ...                   ("bfloat16", 8): 1.1})
    Precision(dtype='float32', threads=8)
    """

    def best(dtype: str) -> tuple[float, int]:
        counts = sorted(count for name, count in seconds if name == dtype)
        one, most = counts[0], counts[-1]
        gain = seconds[dtype, one] / seconds[dtype, most]
        chosen = most if gain >= _WORTH["threads"] else one
        return seconds[dtype, chosen], chosen

    plain, half = best("float32"), best("bfloat16")
    if plain[0] / half[0] >= _WORTH["bfloat16"]:
        return Precision("bfloat16", half[1])
    return Precision("float32", plain[1])


@functools.cache
def measured_precision(device: str = "cpu") -> Precision:
    """What is fastest on a device, by a measurement of seconds, which is told on stderr.

    Threads are compared on a processor only: one, and as many as PyTorch would take.
    """
    begun = time.perf_counter()
    most = torch.get_num_threads()
    counts = sorted({1, most}) if device == "cpu" else [most]
    if device != "cpu" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision()
    times: dict[tuple[str, int], list[float]] = {}
    try:
        for done in range(_ROUNDS):  # in turns, so that what else the machine does is shared
            if done >= 3 and time.perf_counter() - begun > _LONGEST:
                break
            for count in counts:
                torch.set_num_threads(count)
                for dtype in DTYPES:
                    times.setdefault((dtype, count), []).append(_seconds(dtype, device))
    finally:
        torch.set_num_threads(most)
    medians = {key: statistics.median(values[1:]) for key, values in times.items()}
    chosen = choose_precision(medians)
    if device != "cpu":
        chosen = Precision(chosen.dtype)
    told = ", ".join(
        f"{dtype} with {count} thread{'s'[: count > 1]} {1000 * value:.1f} ms"
        for (dtype, count), value in medians.items()
    )
    threads = f" with {chosen.threads} thread{'s'[: chosen.threads > 1]}" if chosen.threads else ""
    spent = time.perf_counter() - begun
    print(f"precision: {chosen.dtype}{threads} ({told}; measured in {spent:.1f} s)",
          file=sys.stderr, flush=True)  # fmt: skip
    return chosen


def settled_precision(wanted: str, device: str, path: Path) -> Precision:
    """The precision that work began with, or begins with now.

    Args:
        wanted: ``"float32"``, ``"bfloat16"`` or ``"auto"``.
        device: that the work runs on.
        path: where the choice of ``auto`` is kept, so that whoever goes on makes the same.

    >>> settled_precision("bfloat16", "cpu", Path("none.json"))
    Precision(dtype='bfloat16', threads=None)
    """
    if wanted != "auto":
        return Precision(wanted)
    if path.is_file():
        return Precision(**read_json(path))
    chosen = measured_precision(device)
    write_json(path, dataclasses.asdict(chosen))
    return chosen
