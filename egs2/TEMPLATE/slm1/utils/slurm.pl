#!/usr/bin/env python3
"""Run one command, or N of them as an array, on a Slurm cluster, and wait for the end.

    slurm.pl [--config conf/slurm.conf] [--gpu N] [--num_threads N] [--num_nodes N] [--mem M]
             [--time T] [--name NAME] [--max-jobs-run N] [--dry_run true] [JOB=1:N] LOG COMMAND...

Success is N status files with 0 in them, whatever sbatch and squeue say: cancelled elements of an
array leave no other trace. TERM, INT and the death of the caller cancel the jobs; --dry_run prints
the command line of sbatch and does nothing.
The language is Python; the name is the one by which ESPnet knows such a wrapper.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import slurm_queue
from job_command import Job, Request, fail, parse, quote, report_failures, stop_signals, tell
from slurm_config import read_config
from slurm_queue import GONE, State

IN_THE_JOB = Path(__file__).resolve().with_name("slurm_job.py")
POLL_SECONDS = 0.3
FIRST_QUESTION, LAST_QUESTION = 1.0, 30.0  # between two questions to the controller
HOPELESS_SECONDS = 2.0
GONE_SECONDS = 15.0  # a status file may reach us this much later over a shared file system


def main(arguments: Sequence[str]) -> None:
    """Submit, wait, report."""
    request = parse(arguments, known=())  # conf/slurm.conf knows them
    options = dict(request.options)
    config = read_config(Path(options.pop("config", "conf/slurm.conf")))
    only_show = options.pop("dry_run", "false") == "true"
    submission = Submission(request)
    words = submission.words(config.submission(options), options.get("max-jobs-run"))
    if only_show:
        print(quote(words))
        return
    submission.submit(words)
    failed = submission.wait()
    if failed:
        report_failures(request, failed)
    submission.remove_files()


class Submission:
    """The jobs of one command line as one Slurm job or job array.

    What they need and what they leave lies in ``NAME_OF_THE_LOG.q/`` beside the log. No other
    submission shares a part of that folder, since it would lose it when the first one is done.
    """

    def __init__(self, request: Request) -> None:
        self.jobs = {job.number or 0: job for job in request.jobs}
        self.is_array = request.job_name is not None
        log = Path(request.log_pattern().replace("*", "all")).absolute()
        self.directory = log.with_name(f"{log.name}.q")
        self.job_id = ""
        self.parent = os.getppid()
        self.states: dict[int, State] = {}

    def file(self, number: int | str, kind: str) -> Path:
        return self.directory / f"{number}.{kind}"

    def words(self, command: list[str], limit: str | None) -> list[str]:
        """The command line that submits."""
        words, element = [*command, "--parsable"], "0"
        if self.is_array:
            # A range however long; the numbers of a request follow each other.
            elements = f"{min(self.jobs)}-{max(self.jobs)}{'%' + limit if limit else ''}"
            words, element = [*words, f"--array={elements}"], "%a"
        output = str(self.file(element, "output"))
        return [*words, "--output", output, str(self.directory / "batch")]

    def submit(self, words: list[str]) -> None:
        """Write what the jobs read, remove what others left, and run sbatch."""
        try:
            batch, record = self.directory / "batch", self.directory / "id"
            if record.exists():
                slurm_queue.cancel_leftover(record.read_text(), str(batch))
            if self.directory.exists():
                shutil.rmtree(self.directory)
            self.directory.mkdir(parents=True)
            # USR1 may come before the program can handle it: --time may be shorter than its notice.
            program = quote(["exec", str(IN_THE_JOB), str(self.directory)])
            batch.write_text(f"#!/bin/sh\ntrap '' USR1\n{program}\n", encoding="utf-8")
            for number, job in self.jobs.items():
                job.log.parent.mkdir(parents=True, exist_ok=True)
                job.log.unlink(missing_ok=True)
                self.file(number, "job").write_text(settings(job), encoding="utf-8")
        except OSError as error:
            fail(f"{error.filename}: cannot be written ({(error.strerror or '').lower()})")
        signs = stop_signals()
        for sign in signs:
            signal.signal(sign, self._on_signal)
        # A signal in between would leave a job whose number we do not know.
        signal.pthread_sigmask(signal.SIG_BLOCK, signs)
        self.job_id = slurm_queue.submit(words)
        record.write_text(self.job_id)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signs)

    def wait(self) -> list[Job]:
        """Wait until every job has a status or has left the queue; return the failed ones."""
        left = set(self.jobs)
        failed: list[int] = []
        since: dict[int, float] = {}  # when a job was first seen in its present, lasting trouble
        started = asked = time.monotonic()
        while left:
            time.sleep(POLL_SECONDS)
            if os.getppid() != self.parent:
                self.cancel("cancelled because the program that called it has died")
            now = time.monotonic()
            pause = min(FIRST_QUESTION + (now - started) / 10, LAST_QUESTION)
            if any(self._status(number) for number in left):
                pause = FIRST_QUESTION  # it has ended, unless it will run again
            if now - asked < pause:
                continue
            answer = slurm_queue.states(self.job_id)
            asked = time.monotonic()
            if answer is None:
                tell("the controller does not answer; the jobs run on, and we wait")
                continue
            os.listdir(self.directory)  # makes a shared file system look for new files
            for number in sorted(left):
                state = self.states[number] = answer.get(number, GONE)
                patience = self._patience(number, state)
                if patience is None:
                    since.pop(number, None)
                elif asked - since.setdefault(number, asked) >= patience:
                    if state.alive:
                        self.cancel(f"job {self.job_id} can never start: {state}")
                    left.discard(number)
                    if self._status(number) != "0" or state.name in slurm_queue.FINAL:
                        failed.append(number)
                        self._note(number)
        return [self.jobs[number] for number in sorted(failed)]

    def _patience(self, number: int, state: State) -> float | None:
        """How many seconds to wait for other news of a job; None: as long as it takes.

        A status of 0 is not enough: it may be of a run that was told to end and is to run again.
        """
        if state.hopeless:
            return HOPELESS_SECONDS
        if state.alive:
            if state.unusual:
                tell(f"job {self.job_id} waits: {state.reason}")
            return None
        known = state.name in slurm_queue.FINAL or self._status(number) is not None
        return 0.0 if known else GONE_SECONDS

    def _status(self, number: int) -> str | None:
        try:
            return self.file(number, "status").read_text().strip()
        except FileNotFoundError:
            return None

    def _note(self, number: int) -> None:
        """Put into the log what Slurm knows of an end that was not the command's own."""
        state, job = self.states[number], self.jobs[number]
        if self._status(number) is not None and state.name == "FAILED":
            return
        output = self.file(number, "output")
        told = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
        hint = "" if told or job.log.exists() else f"; does the node see {self.directory}?"
        name = f"{self.job_id}_{number}" if self.is_array else self.job_id
        with open(job.log, "a", encoding="utf-8") as log:
            log.write(f"{told}slurm.pl: job {name}: {state}{hint}\n")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.cancel(f"cancelled by {signal.Signals(number).name}")

    def cancel(self, reason: str) -> NoReturn:
        """Take the job out of the queue and exit with status 1."""
        for sign in stop_signals():
            signal.signal(sign, signal.SIG_IGN)
        slurm_queue.cancel(self.job_id)
        fail(reason)

    def remove_files(self) -> None:
        """Leave nothing but the logs."""
        shutil.rmtree(self.directory)


def settings(job: Job) -> str:
    """What slurm_job.py reads."""
    rendezvous = re.search(r"--dist_init_method '?file://([^ ']+)", job.command)
    values = {
        "directory": os.getcwd(),
        "log": str(job.log.absolute()),
        "rendezvous": rendezvous[1] if rendezvous else "",
        "command": job.command,
    }
    return json.dumps(values)


if __name__ == "__main__":
    main(sys.argv[1:])
