"""Ctrl-C saves what there is; a second one ends everything at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from espnet_otreg.tasks.interruption import StopRequest, passed_on


def _in_a_process(work: Callable[[], object]) -> int:
    """How a process that does ``work`` ends."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_second_ctrl_c_ends_at_once() -> None:
    def interrupted(times: int) -> None:
        request = StopRequest()
        with request.listening():
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
            os._exit(request.agreed())

    assert _in_a_process(lambda: interrupted(1)) == signal.SIGINT
    assert _in_a_process(lambda: interrupted(2)) == -signal.SIGINT


def test_a_second_ctrl_c_ends_the_processes_that_espnet_has_started(tmp_path: Path) -> None:
    def sleep() -> None:
        signal.signal(signal.SIGINT, lambda *_: (tmp_path / "heard").touch())
        (tmp_path / "ready").touch()
        while True:
            time.sleep(0.01)

    def interrupted() -> None:
        with passed_on():
            child = multiprocessing.get_context("fork").Process(target=sleep)
            child.start()
            (tmp_path / "id").write_text(str(child.pid))
            while not (tmp_path / "ready").exists():
                time.sleep(0.01)
            signal.raise_signal(signal.SIGINT)
            while not (tmp_path / "heard").exists():
                time.sleep(0.01)
            signal.raise_signal(signal.SIGINT)

    assert _in_a_process(interrupted) == -signal.SIGINT
    deadline = time.monotonic() + 20
    while Path(f"/proc/{(tmp_path / 'id').read_text()}/cmdline").exists():
        state = Path(f"/proc/{(tmp_path / 'id').read_text()}/stat").read_text().split()[2]
        if state == "Z":  # dead; nobody has asked for its status
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)
