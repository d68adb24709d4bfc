"""Run a real command line on a bad input and check how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

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
    """Run ``python -m espnet_otreg.bin.NAME``."""
    words = (sys.executable, "-m", f"espnet_otreg.bin.{name}", *arguments)
    return run(*words, max_file_bytes=max_file_bytes)


class ForkServer:
    """Runs command lines that need PyTorch or ESPnet, which are imported once for all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "test/support/fork_server.py")],
            cwd=ROOT,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
                "CUDA_VISIBLE_DEVICES": "",  # the same outcomes on machines with a GPU
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(directory / "server", "w"),
            text=True,
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        answer = self.process.stdout.readline().strip()
        assert answer, f"the server ended: {(self.directory / 'server').read_text()}"
        return answer

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
        outputs = [
            {kind: self.directory / f"{kind}.{number}" for kind in ("stdout", "stderr")}
            for number in range(count)
        ]
        jobs = [
            {
                "module": f"espnet_otreg.bin.{name}",
                "arguments": list(map(str, arguments)),
                "max_file_bytes": None,
                "fault": None,
                **{kind: str(path) for kind, path in files.items()},
                **conditions,
            }
            for arguments, files, conditions in zip(
                all_arguments, outputs, all_conditions or [{}] * count, strict=True
            )
        ]
        for files in outputs:
            for path in files.values():
                path.write_text("")
        assert self.process.stdin is not None
        print(json.dumps(jobs), file=self.process.stdin, flush=True)
        statuses = map(int, self._answer().split())
        return [
            Outcome(status, *(path.read_text(encoding="utf-8") for path in files.values()))
            for status, files in zip(statuses, outputs, strict=True)
        ]

    def stop(self) -> None:
        """End the server."""
        self.process.communicate()


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
