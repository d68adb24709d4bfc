"""What slurm.pl asks of Slurm's controller, which may be away for a while: it is restarted."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from job_command import fail, quote, tell

AWAY_SECONDS = 300.0  # as long we wait for a controller that is away before a submission
RETRY_SECONDS = 2.0
NO_CONTROLLER = "Unable to contact slurm controller"
# States in which a job may still run, or run again; in all others it is over.
ALIVE = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "RESIZING", "SIGNALING",
         "STAGE_OUT", "STOPPED", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
         "SPECIAL_EXIT"}  # fmt: skip
# Ends that no status file makes a success, and after which no other run follows.
FINAL = {"CANCELLED", "TIMEOUT", "FAILED", "DEADLINE", "OUT_OF_MEMORY"}
# Reasons of pending jobs that no waiting will remove, and those that need no word.
HOPELESS = {"PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints"}
ORDINARY = {"None", "Priority", "Resources", "BeginTime", "JobArrayTaskLimit", "Cleaning"}


@dataclass(frozen=True)
class State:
    """What the controller says of one job: its state and the reason for it."""

    name: str
    reason: str

    @property
    def alive(self) -> bool:
        return self.name in ALIVE

    @property
    def hopeless(self) -> bool:
        return self.name == "PENDING" and self.reason in HOPELESS

    @property
    def unusual(self) -> bool:
        """Whether it waits for something that people may have to mend."""
        return self.name == "PENDING" and self.reason not in ORDINARY

    def __str__(self) -> str:
        return self.name if self.reason in ("None", "") else f"{self.name} ({self.reason})"


GONE = State("no longer known to Slurm", "")


def environment() -> dict[str, str]:
    """The caller's, without what another Slurm job that it runs in has put there.

    Such variables (memory, tasks, nodes) would contradict those of the new job, and srun fails.
    """
    ours = ("SLURM_CONF",)
    return {k: v for k, v in os.environ.items() if not k.startswith("SLURM") or k in ours}


def submit(words: Sequence[str]) -> str:
    """Run sbatch and return the job's id; what it rejects ends the program with its reason."""
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            answer = subprocess.run(words, capture_output=True, text=True, env=environment())
        except OSError as error:
            fail(f"{words[0]}: cannot be started ({(error.strerror or '').lower()})")
        if answer.returncode == 0:
            return answer.stdout.strip().split(";")[0]
        reason = " ".join(answer.stderr.split())
        if NO_CONTROLLER not in reason or time.monotonic() > deadline:
            fail(f"the job was rejected: {reason}; the command was: {quote(words)}")
        time.sleep(RETRY_SECONDS)


def states(job: str) -> dict[int, State] | None:
    """The state by array number (0 for a job that is no array); None if nobody answers."""
    # "-r" lists the elements of a pending array one by one.
    words = ["squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%K|%T|%r"]
    answer = subprocess.run(words, capture_output=True, text=True, env=environment())
    if answer.returncode:
        return {} if "Invalid job id" in answer.stderr else None
    found = {}
    for line in answer.stdout.splitlines():
        number, name, reason = line.split("|", 2)
        found[int(number) if number.isdecimal() else 0] = State(name, reason)
    return found


def cancel(job: str) -> None:
    """Take a job out of the queue; say how to do it by hand if the controller stays away."""
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        words = ["scancel", job]
        answer = subprocess.run(words, capture_output=True, text=True, env=environment())
        if answer.returncode == 0 or "Invalid job id" in answer.stderr:
            return
        if time.monotonic() > deadline:
            reason = " ".join(answer.stderr.split())
            fail(f"job {job} could not be cancelled ({reason}); run: scancel {job}")
        tell(f"job {job} is cancelled as soon as the controller answers")
        time.sleep(RETRY_SECONDS)


def cancel_leftover(job: str, command: str) -> None:
    """Cancel a job whose slurm.pl was killed without a chance to do so, and wait for its end.

    Its successor writes the same files. ``command`` tells it from a job that got its id later.
    """
    told = False
    while True:
        words = ["squeue", "-h", "-r", "-j", job, "-o", "%A|%o"]
        answer = subprocess.run(words, capture_output=True, text=True, env=environment())
        if answer.returncode == 0 or "Invalid job id" in answer.stderr:
            if not any(line.endswith(f"|{command}") for line in answer.stdout.splitlines()):
                return
            if not told:
                tell(f"cancelling job {job}, which an earlier run left")
                told = True
                cancel(job)
        time.sleep(RETRY_SECONDS / 4)
