#!/usr/bin/env python3
"""Run one command, or N of them as an array, on a Slurm cluster, and wait for the end.

    slurm.pl [--config conf/slurm.conf] [--gpu N] [--num_threads N] [--num_nodes N] [--mem M]
             [--time T] [--name NAME] [--max-jobs-run N] [JOB=1:N] LOG COMMAND...

Success is N status files with 0 in them, whatever sbatch and squeue say: cancelled elements of an
array leave no other trace. TERM, INT and the death of the caller cancel the jobs.
The language is Python; the name is the one by which ESPnet knows such a wrapper.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from job_command import Job, Request, fail, parse, quote, report_failures
from slurm_config import read_config

POLL_SECONDS = 0.3
QUEUE_SECONDS = 5.0  # between two questions to the controller
GONE_SECONDS = 15.0  # a status file may reach us this much later over a shared file system
# States in which a job may still run, or run again; in all others it is over.
ALIVE = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "RESIZING", "SIGNALING",
         "STAGE_OUT", "STOPPED", "PREEMPTED", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
         "SPECIAL_EXIT"}  # fmt: skip
# Reasons of pending jobs that no waiting will start.
HOPELESS = {"PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints"}


def main(arguments: Sequence[str]) -> None:
    """Submit, wait, report."""
    request = parse(arguments, known=())  # conf/slurm.conf knows them
    options = dict(request.options)
    config = read_config(Path(options.pop("config", "conf/slurm.conf")))
    array = Submission(request)
    words = config.submission(options)
    array.submit(words, options.get("max-jobs-run"))
    failed = array.wait()
    if failed:
        report_failures(request, failed)


class Submission:
    """The jobs of one command line as one Slurm job or job array.

    Scripts and status files lie in ``q/`` beside the log.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.jobs = {job.number or 0: job for job in request.jobs}
        log = Path(request.log_pattern().replace("*", "all"))
        self.directory = (log.parent / "q").absolute()
        self.stem = f"{log.stem}.{os.getpid()}"
        self.job_id = ""
        self.parent = os.getppid()

    def script(self, number: int | str) -> Path:
        return self.directory / f"{self.stem}.{number}.sh"

    def status_file(self, number: int | str) -> Path:
        return self.directory / f"{self.stem}.{number}.status"

    def submit(self, words: list[str], limit: str | None) -> None:
        """Write the scripts and give them to sbatch."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for number, job in self.jobs.items():
            job.log.parent.mkdir(parents=True, exist_ok=True)
            job.log.unlink(missing_ok=True)
            self.script(number).write_text(self._script_of(job, number), encoding="utf-8")
        array = self.jobs.keys() != {0}
        if array:
            numbers = sorted(self.jobs)
            # A range however long; the numbers of a request follow each other.
            words = [*words, f"--array={numbers[0]}-{numbers[-1]}{'%' + limit if limit else ''}"]
        number = "${SLURM_ARRAY_TASK_ID}" if array else "0"
        batch = self.directory / f"{self.stem}.batch"
        script = quote([f"{self.directory}/{self.stem}."])
        batch.write_text(f"#!/bin/bash\nexec bash {script}{number}.sh\n", encoding="utf-8")
        output = self.directory / f"{self.stem}.{'%a' if array else '0'}.slurm"
        words = [*words, "--parsable", "--output", str(output), str(batch)]
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, self._on_signal)
        try:
            answer = subprocess.run(words, capture_output=True, text=True)
        except OSError as error:
            fail(f"{words[0]}: cannot be started ({(error.strerror or '').lower()})")
        if answer.returncode:
            reason = " ".join(answer.stderr.split())
            fail(f"the job was rejected: {reason}; the command was: {quote(words)}")
        self.job_id = answer.stdout.strip().split(";")[0]

    def _script_of(self, job: Job, number: int) -> str:
        """Runs the command; the log grows over requeues, the status is that of the last run."""
        log, status = quote([str(job.log.absolute())]), quote([str(self.status_file(number))])
        return f"""cd {quote([os.getcwd()])} || exit 1
{{
  echo {quote(["# " + job.command])}
  echo "# Started at $(date) on $(hostname), Slurm job ${{SLURM_JOB_ID}}"
  echo "#"
}} >>{log}
rm -f {status}
started=${{SECONDS}}
bash -o pipefail -c {quote([job.command])} </dev/null >>{log} 2>&1
code=$?
echo "# Ended (code ${{code}}) at $(date), elapsed time $((SECONDS - started)) seconds" >>{log}
echo "${{code}}" >{status}.part && mv {status}.part {status}
exit "${{code}}"
"""

    def wait(self) -> list[Job]:
        """Wait until every job has a status or has left the queue; return the failed ones."""
        left = set(self.jobs)
        failed: list[int] = []
        missing_since: dict[int, float] = {}
        asked = time.monotonic()
        while left:
            time.sleep(POLL_SECONDS)
            if os.getppid() != self.parent:
                self.cancel("cancelled because the program that called it has died")
            succeeded = {number for number in left if self._status(number) == "0"}
            left -= succeeded
            ended = any(self._status(number) for number in left)
            if not left or time.monotonic() - asked < (1.0 if ended else QUEUE_SECONDS):
                continue
            asked = time.monotonic()
            states = self._states()
            if states is None:
                continue  # the controller does not answer; the jobs run on
            for number in sorted(left):
                state, reason = states.get(number, ("gone", ""))
                if state in ALIVE and reason not in HOPELESS:
                    missing_since.pop(number, None)
                    continue
                if state in ALIVE:
                    self.cancel(f"job {self.job_id} can never start ({reason})")
                since = missing_since.setdefault(number, asked)
                status = self._status(number)
                if status is None and asked - since < GONE_SECONDS and state == "gone":
                    continue
                left.discard(number)
                if status != "0":
                    failed.append(number)
                    self._note(number, status, state)
        return [self.jobs[number] for number in sorted(failed)]

    def _status(self, number: int) -> str | None:
        try:
            return self.status_file(number).read_text().strip()
        except FileNotFoundError:
            return None

    def _states(self) -> dict[int, tuple[str, str]] | None:
        """State and reason by array number (0 for a job that is no array); None: no answer."""
        # "-r" lists the elements of a pending array one by one.
        words = ["squeue", "-h", "-r", "-t", "all", "-j", self.job_id]
        answer = subprocess.run([*words, "-o", "%K|%T|%r"], capture_output=True, text=True)
        if answer.returncode:
            return {} if "Invalid job id" in answer.stderr else None
        states = {}
        for line in answer.stdout.splitlines():
            number, state, reason = line.split("|", 2)
            states[int(number) if number.isdecimal() else 0] = (state, reason)
        return states

    def _note(self, number: int, status: str | None, state: str) -> None:
        """Put into the log what Slurm knows of a job that could not write its own status."""
        if status is not None:
            return
        output = self.directory / f"{self.stem}.{number}.slurm"
        told = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
        reason = next((line for line in told.splitlines() if "error:" in line), "")
        with open(self.jobs[number].log, "a", encoding="utf-8") as log:
            log.write(told)
            print(f"error: Slurm job {self.job_id} is {state}; {reason or 'no reason given'}",
                  file=log)  # fmt: skip

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.cancel(f"cancelled by {signal.Signals(number).name}")

    def cancel(self, reason: str) -> None:
        """Take the job out of the queue and exit with status 1."""
        if self.job_id:
            subprocess.run(["scancel", self.job_id])
        fail(reason)


if __name__ == "__main__":
    main(sys.argv[1:])
