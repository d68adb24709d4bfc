"""Faults that strike a real process at a chosen point of its work."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any


def prepare_fault(kind: str, **settings: Any) -> None:
    """Let a fault strike this process later: ``signal``, ``save`` or ``file``."""
    kinds = {"signal": signal_in_forward, "save": die_while_saving, "file": die_when_there_is}
    kinds[kind](**settings)


def die_when_there_is(path: str) -> None:
    """Die of SIGKILL as soon as a file is there."""

    def watch() -> None:
        while not os.path.exists(path):
            time.sleep(0.0005)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def die_while_saving(name: str, nth: int, share: float) -> None:
    """Die of SIGKILL when that share of the bytes of a checkpoint is written, the nth time."""
    import torch

    save, count = torch.save, 0

    def save_or_die(content: Any, file: Any) -> None:
        nonlocal count
        path = file if isinstance(file, Path) else Path(getattr(file, "name", file))
        count += path.name == name
        if path.name != name or count < nth:
            save(content, file)
            return
        whole = io.BytesIO()
        save(content, whole)
        path.write_bytes(whole.getvalue()[: round(share * whole.tell())])
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_or_die


def signal_in_forward(name: str, nth: int, to: str = "all") -> None:
    """Send a signal in the model's nth forward pass: to the workers that read data, or to all."""
    from espnet_otreg.slm.model import SpokenLanguageModel

    forward, count = SpokenLanguageModel.forward, 0

    def forward_and_signal(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth:
            workers = [child.pid for child in multiprocessing.active_children()]
            for process in workers if to == "workers" else [*workers, os.getpid()]:
                assert process is not None
                os.kill(process, getattr(signal, name))
        return forward(*args, **kwargs)

    SpokenLanguageModel.forward = forward_and_signal  # type: ignore[method-assign]
