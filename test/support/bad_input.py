"""Run a real command line on a bad input and check how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import resource
import runpy
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What a refused run may leave behind: locks, and the logs that say why.
HARMLESS = ("*.lock", "*/log/*", "*.log")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


def run(
    *words: object, cwd: Path | None = None, max_file_bytes: int | None = None, **environment: str
) -> Outcome:
    """Run words as a command; no file may become larger than ``max_file_bytes``."""

    def limit() -> None:
        if max_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        preexec_fn=limit,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def command(name: str, *arguments: object, max_file_bytes: int | None = None) -> Outcome:
    """Run ``python -m espnet_otreg.bin.NAME``, in a process of its own only if files are limited.

    For commands that leave nothing behind in a process: those that train go to :class:`ForkServer`.
    """
    module = f"espnet_otreg.bin.{name}"
    if max_file_bytes is not None:
        return run(sys.executable, "-m", module, *arguments, max_file_bytes=max_file_bytes)
    return _here(lambda: runpy.run_module(module, run_name="__main__", alter_sys=True), *arguments)


def tool(name: str, *arguments: object) -> Outcome:
    """Run ``tools/NAME`` in this process."""
    path = str(ROOT / "tools" / name)
    return _here(lambda: runpy.run_path(path, run_name="__main__"), *arguments)


def _here(start: Callable[[], object], *arguments: object) -> Outcome:
    """What a program does in this process: its exit status and what it prints."""
    stdout, stderr = io.StringIO(), io.StringIO()
    status: object = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*found in sys.modules", module="runpy")
        patch.setattr(sys, "argv", ["command", *map(str, arguments)])
        patch.setattr(sys, "path", [*sys.path])
        try:
            start()
        except SystemExit as end:
            status = end.code or 0
    assert isinstance(status, int), status
    return Outcome(status, stdout.getvalue(), stderr.getvalue())


class ForkServer:
    """Runs command lines that need PyTorch or ESPnet, which are imported once for all.

    Args:
        directory: where it is reached; there is one server for all that name the same.
        until: the process with which it ends; this one if none is given.

    Attributes:
        bin: a directory with a ``python`` that runs this package's commands here, too.
    """

    def __init__(self, directory: Path, until: int | None = None) -> None:
        directory.mkdir(exist_ok=True)
        self.directory, self.bin = directory, directory / "bin"
        self.outputs = Path(tempfile.mkdtemp(dir=directory))
        with open(directory / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.bin.exists():
                self._start(until or os.getpid())

    def _start(self, until: int) -> None:
        place = self.directory / "socket"
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "test/support/fork_server.py"), str(place), str(until)],
            cwd=ROOT,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
                "CUDA_VISIBLE_DEVICES": "",  # the same outcomes on machines with a GPU
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=open(self.directory / "log", "w"),
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", (self.directory / "log").read_text()
        source = (ROOT / "test/support/forked_python.py").read_text()
        source = source.replace("{python}", sys.executable).replace("{server}", str(place))
        self.bin.mkdir()
        for name in ("python", "python3"):
            (self.bin / name).write_text(f"#!{sys.executable} -IS\n{source}")
            (self.bin / name).chmod(0o755)

    def __call__(self, name: str, *arguments: object, **conditions: Any) -> Outcome:
        """Run ``python -m espnet_otreg.bin.NAME``; ``max_file_bytes`` and ``fault`` may strike."""
        (outcome,) = self.together(name, [arguments], [conditions])
        return outcome

    def together(
        self,
        name: str,
        all_arguments: Sequence[Sequence[object]],
        all_conditions: Sequence[dict[str, Any]] | None = None,
    ) -> list[Outcome]:
        """Run a command several times at once, for instance as the processes of one training."""
        count = len(all_arguments)
        connections, outputs = [], []
        for number, arguments, conditions in zip(
            range(count), all_arguments, all_conditions or [{}] * count, strict=True
        ):
            job = {"module": f"espnet_otreg.bin.{name}", "arguments": list(map(str, arguments))}
            outputs.append([self.outputs / f"{kind}.{number}" for kind in ("stdout", "stderr")])
            connections.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            connections[-1].connect(str(self.directory / "socket"))
            with contextlib.ExitStack() as stack:
                modes = ((Path(os.devnull), "r"), *((path, "w") for path in outputs[-1]))
                streams = [stack.enter_context(open(*mode)).fileno() for mode in modes]
                socket.send_fds(connections[-1], [json.dumps(job | conditions).encode()], streams)
        outcomes = []
        for connection, paths in zip(connections, outputs, strict=True):
            with connection:
                answers = [connection.recv(64) for _ in ("process", "status")]
            assert all(answers), f"the server ended: {(self.directory / 'log').read_text()}"
            texts = (path.read_text(encoding="utf-8") for path in paths)
            outcomes.append(Outcome(int(answers[1]), *texts))
        return outcomes


def assert_refused(outcome: Outcome, *says: object) -> None:
    """Status other than 0, no traceback, and one sentence at the end that says all of ``says``."""
    lines = outcome.stderr.splitlines()
    assert outcome.status > 0, outcome.stderr[-2000:]
    assert "Traceback" not in outcome.stderr + outcome.stdout, outcome.stderr
    assert lines and re.match(r"(\S+: )?error: ", lines[-1]), outcome.stderr
    assert sum("error: " in line for line in lines) == 1, outcome.stderr
    for part in says:
        assert str(part) in lines[-1], f"{part!r} is not in {lines[-1]!r}"


def files_in(directory: Path, ignored: Sequence[str] = ()) -> dict[str, tuple[int, int]]:
    """Size and time of every file below ``directory`` but the ignored ones."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {
        str(path.relative_to(directory)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in files
        if not any(fnmatch(f"/{path.relative_to(directory)}", p) for p in (*HARMLESS, *ignored))
    }


@contextlib.contextmanager
def nothing_written(directory: Path, but: Sequence[str] = ()) -> Iterator[None]:
    """Check that no file appears, changes or vanishes below ``directory``.

    ``but`` are patterns of finished work that the next run takes up; a temporary file is none.
    """
    before = files_in(directory, but)
    yield
    assert files_in(directory, but) == before
    assert not [path for path in directory.rglob("*") if path.name.endswith(".tmp")]
