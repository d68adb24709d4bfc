#!/usr/bin/env python3
"""Run one command, or N of them at once, on this machine, each with its log.

    run.pl [--max-jobs-run N] [--num_threads N] [--name NAME] [JOB=1:N] LOG COMMAND...

Exit status 1 if any job fails. --num_threads sets OMP_NUM_THREADS. --gpu, --mem, --time and
--config mean something to a cluster only and are accepted. TERM and INT end the jobs, and so does
the death of the program that called this one: no job goes on writing behind a new run's back.
The language is Python; the name is the one by which ESPnet knows such a wrapper.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from job_command import Job, Request, fail, footer, parse, report_failures, stop_signals

STOP_SIGNALS = stop_signals()
GRACE_SECONDS = 5.0
# Requests of prctl(2): PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER.
KILL_ME_WITH_MY_PARENT, GIVE_ME_ORPHANS = 1, 36
LIBC = ctypes.CDLL(None)


def main(arguments: Sequence[str]) -> None:
    request = parse(arguments)
    if int(request.options.get("num_nodes", 1)) > 1:
        fail("--num_nodes: this wrapper runs on one machine; use slurm.pl for several")
    if "num_threads" in request.options:
        os.environ["OMP_NUM_THREADS"] = request.options["num_threads"]
    LIBC.prctl(GIVE_ME_ORPHANS, 1)  # what a job leaves behind can still be found and ended
    # From here on these signals wait until ``Runner.run`` asks for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *STOP_SIGNALS})
    failed = Runner(request).run()
    if failed:
        report_failures(request, failed)


class Runner:
    """Keeps at most ``--max-jobs-run`` jobs going until all have ended."""

    def __init__(self, request: Request) -> None:
        self.waiting = list(request.jobs)
        self.limit = int(request.options.get("max-jobs-run", len(self.waiting)))
        self.running: dict[int, tuple[Job, subprocess.Popen[bytes], float]] = {}
        self.failed: list[Job] = []
        self.parent = os.getppid()

    def run(self) -> list[Job]:
        """Run all jobs and return those that failed, in the order of their numbers."""
        while self.waiting or self.running:
            while self.waiting and len(self.running) < self.limit:
                self.start(self.waiting.pop(0))
            received = signal.sigtimedwait({signal.SIGCHLD, *STOP_SIGNALS}, 0.5)
            if received and received.si_signo in STOP_SIGNALS:
                self.stop(f"stopped by {signal.Signals(received.si_signo).name}")
            if os.getppid() != self.parent:
                self.stop("stopped because the program that called it has died")
            self.collect()
        return sorted(self.failed, key=lambda job: job.number or 0)

    def start(self, job: Job) -> None:
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            log = open(job.log, "w", encoding="utf-8")
        except OSError as error:
            self.terminate()
            fail(f"{job.log}: cannot write the log ({(error.strerror or '').lower()})")
        with log:
            log.write(job.header())
            log.flush()
            process = subprocess.Popen(
                ["bash", "-o", "pipefail", "-c", job.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=prepare_child,
            )
        self.running[process.pid] = (job, process, time.monotonic())

    def collect(self) -> None:
        """Write the end of the log of every job that has ended."""
        for pid, (job, process, started) in list(self.running.items()):
            if process.poll() is None:
                continue
            del self.running[pid]
            code = process.returncode if process.returncode >= 0 else 128 - process.returncode
            with open(job.log, "a", encoding="utf-8") as log:
                log.write(footer(code, time.monotonic() - started))
            if code:
                self.failed.append(job)

    def stop(self, reason: str) -> NoReturn:
        self.terminate()
        fail(reason)

    def terminate(self) -> None:
        """End all jobs with everything that they started: TERM first, KILL after a while."""
        deadline = time.monotonic() + GRACE_SECONDS
        told: set[int] = set()
        while below := descendants(os.getpid()):
            late = time.monotonic() > deadline
            # Who has started something since then has not heard: a shell may lose a signal that
            # comes while it starts itself. So all are told again.
            for pid in below if late or set(below) - told else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            told.update(below)
            self.collect()
            time.sleep(0.05)
        self.collect()


def prepare_child() -> None:
    """In the child: receive signals again, and die with run.pl even if that is killed by KILL.

    The child stays in the process group of its caller, so that a signal to the group ends all.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, *STOP_SIGNALS})
    LIBC.prctl(KILL_ME_WITH_MY_PARENT, signal.SIGKILL)


def descendants(ancestor: int) -> list[int]:
    """All living processes below ``ancestor``, parents before their children.

    A shell that lost its child first would go on to its next command, and might end well.
    """
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state parent ...", where the name may hold spaces and parentheses.
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has ended meanwhile
        if state != "Z":
            children.setdefault(int(parent), []).append(int(path.parent.name))
    found: list[int] = []
    pending = [ancestor]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
