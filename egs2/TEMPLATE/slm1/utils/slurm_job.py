#!/usr/bin/env python3
"""Inside Slurm: run one job of slurm.pl and write down how it ended.

    slurm_job.py DIRECTORY     DIRECTORY/NUMBER.job says what to run, as JSON

Slurm announces an end (cancelled, time-out, preempted) by TERM to all processes of the job; KILL
follows after the cluster's KillWait. This process outlives TERM, because Slurm kills what is left
as soon as it ends. USR1 to this process alone asks the command to save its state and to end; then
the job goes back into the queue. sbatch --signal=B:USR1@SECONDS sends it before the time is over.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO, Any

from job_command import Job, footer

TOLD_TO_END = 128 + signal.SIGTERM
HEARING_SECONDS = 0.3  # Slurm tells one process after the other; this one may be the last


def main(directory: Path) -> int:
    """Run the job of this element of the array and return its status."""
    number = os.environ.get("SLURM_ARRAY_TASK_ID", "0")
    status = directory / f"{number}.status"
    status.unlink(missing_ok=True)  # of a run before a requeue
    settings = json.loads((directory / f"{number}.job").read_text(encoding="utf-8"))
    os.chdir(settings["directory"])
    if settings["rendezvous"]:
        # Likewise: processes would take those of that run for each other.
        Path(settings["rendezvous"]).unlink(missing_ok=True)
    with open(settings["log"], "a", encoding="utf-8") as log:
        runner = Runner(settings["command"], log)
        code = runner.run()
        again = runner.to_be_requeued and not runner.told_to_end and requeue(log)
    if again:
        return 0
    temporary = directory / f"{number}.status.part"
    temporary.write_text(f"{code}\n")
    temporary.rename(status)
    return code


class Runner:
    """One command, and the signals that come while it runs."""

    def __init__(self, command: str, log: IO[str]) -> None:
        self.job = Job(None, Path(log.name), command)
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.told_to_end = False
        self.to_be_requeued = False

    def run(self) -> int:
        """Run the command to its end."""
        self.log.write(self.job.header(f"{os.environ['SLURMD_NODENAME']}, Slurm job {job_id()}"))
        self.log.flush()
        started = time.monotonic()
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGUSR1, self._on_usr1)
        self.process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", self.job.command],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        code = self.process.wait()
        if code < 0:
            code = 128 - code
        if code == 0:
            time.sleep(HEARING_SECONDS)
        if self.told_to_end and code == 0:
            code = TOLD_TO_END  # it has ended well, but has not done all of its work
        self.log.write(footer(code, time.monotonic() - started))
        self.log.flush()
        return code

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self.told_to_end = True  # and so is the command, by Slurm

    def _on_usr1(self, number: int, frame: FrameType | None) -> None:
        if self.process and hears_usr1(self.process.pid):
            self.to_be_requeued = True
            self.process.send_signal(signal.SIGUSR1)


def job_id() -> str:
    """The job's own number, which for an element of an array is not the array's."""
    return os.environ["SLURM_JOB_ID"]


def environment() -> dict[str, str]:
    """What the command finds: as many threads as processors, on every node.

    srun gives a task one processor unless it is told (since Slurm 22.05), and PyTorch would start
    a thread for every processor of the node.
    """
    processors = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    threads = os.environ.get("OMP_NUM_THREADS") or processors
    return {**os.environ, "SRUN_CPUS_PER_TASK": processors, "OMP_NUM_THREADS": threads}


def hears_usr1(pid: int) -> bool:
    """Whether a process has a handler for USR1; without one it would die of it.

    srun has none: it blocks the signal, waits for it and passes it on to its tasks.
    """
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False  # it has ended
    status: dict[str, Any] = dict(line.split(":", 1) for line in text.splitlines())
    heard = int(status["SigCgt"], 16) | int(status["SigBlk"], 16)
    return bool(heard >> (signal.SIGUSR1 - 1) & 1)


def requeue(log: IO[str]) -> bool:
    """Put this job back into the queue; whether Slurm agreed."""
    # Slurm answers with TERM to all processes of the job, scontrol included.
    words = ["sh", "-c", "trap '' TERM; exec scontrol requeue " + job_id()]
    return subprocess.run(words, stdout=log, stderr=log).returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
