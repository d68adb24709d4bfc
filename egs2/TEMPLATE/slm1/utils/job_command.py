"""What run.pl and slurm.pl share: the command line, the jobs it stands for, and the log format.

    CMD.pl [--option value]... [JOB=1:N | JOB=n] LOG COMMAND...

``JOB`` may be any identifier; every occurrence of it in LOG and COMMAND becomes the job's number.
Arguments reach the command as they are, spaces, quotes and dollars included. Only the arguments
in ``OPERATORS`` are left to bash, so that ``CMD.pl LOG cat a \\| sort`` makes a pipe.
"""

from __future__ import annotations

import functools
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn

OPTIONS = ("max-jobs-run", "gpu", "num_threads", "mem", "time", "num_nodes", "name", "config")
OPERATORS = {"|", "||", "&&", ";", "<", ">", ">>", "2>", "2>>", "2>&1", ">&2", "(", ")"}
COUNTS = {"max-jobs-run": 1, "gpu": 0, "num_threads": 1, "num_nodes": 1}  # with their minimum


def stop_signals() -> set[signal.Signals]:
    """What ends a wrapper and its jobs. nohup ignores HUP, and so do we then."""
    hangup = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else set()
    return {signal.SIGTERM, signal.SIGINT} | hangup


def fail(message: str) -> NoReturn:
    """Print one sentence and exit with status 1."""
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(1)


@functools.cache
def tell(sentence: str) -> None:
    """Print a sentence the first time that it is told."""
    print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Job:
    """One command and its log; ``number`` is None where no ``JOB=`` was given."""

    number: int | None
    log: Path
    command: str

    def header(self, place: str = "") -> str:
        where = f" on {place}" if place else ""
        return f"# {self.command}\n# Started at {timestamp()}{where}\n#\n"


@dataclass(frozen=True)
class Request:
    """A parsed command line; ``log`` still holds the name of the job variable."""

    options: dict[str, str]
    log: str
    jobs: list[Job]
    job_name: str | None

    def log_pattern(self) -> str:
        """The log files of all jobs, for people."""
        return self.log.replace(self.job_name, "*") if self.job_name else self.log


def parse(arguments: Sequence[str], known: Sequence[str] = OPTIONS) -> Request:
    """Parse ``[--option value]... [JOB=1:N] LOG COMMAND...``; a mistake ends the program.

    With an empty ``known`` every option is accepted, to be checked by the caller.
    """
    rest = list(arguments)
    options: dict[str, str] = {}
    job_name: str | None = None
    numbers: list[int] = []
    while rest:
        jobs = re.fullmatch(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?", rest[0])
        if jobs:
            job_name, numbers = jobs[1], job_numbers(rest.pop(0), jobs[2], jobs[3])
        elif rest[0].startswith("--"):
            name, value = parse_option(rest, known)
            options[name] = value
        else:
            break
    if len(rest) < 2:
        fail("expected [--option value]... [JOB=1:N] LOG COMMAND..., found no command")
    log, words = rest[0], rest[1:]
    if job_name is None:
        return Request(options, log, [Job(None, Path(log), quote(words))], None)
    if len(numbers) > 1 and job_name not in log:
        fail(f"{log}: {len(numbers)} jobs would write one log; put {job_name} into its name")
    made = [make_job(log, words, job_name, number) for number in numbers]
    return Request(options, log, made, job_name)


def job_numbers(argument: str, first: str, last: str | None) -> list[int]:
    """``JOB=2:4`` -> [2, 3, 4] and ``JOB=3`` -> [3]."""
    start, stop = int(first), int(last or first)
    if not 1 <= start <= stop:
        fail(f"{argument}: the range must start at 1 or more and not fall")
    return list(range(start, stop + 1))


def parse_option(rest: list[str], known: Sequence[str]) -> tuple[str, str]:
    """Take ``--name value`` off the front of ``rest``."""
    name = rest.pop(0)[2:]
    if name == "max_jobs_run":
        name = "max-jobs-run"
    if known and name not in known:
        fail(f"unknown option --{name}; known: {', '.join('--' + option for option in known)}")
    if not rest:
        fail(f"option --{name} needs a value")
    value = rest.pop(0)
    least = COUNTS.get(name)
    if least is not None and not (value.isdecimal() and int(value) >= least):
        fail(f"--{name} {value}: expected a whole number of {least} or more")
    return name, value


def make_job(log: str, words: Sequence[str], job_name: str, number: int) -> Job:
    """The job of one number."""
    filled = [word.replace(job_name, str(number)) for word in words]
    return Job(number, Path(log.replace(job_name, str(number))), quote(filled))


def quote(words: Sequence[str]) -> str:
    """A bash command line in which only operators have a meaning of their own."""
    return " ".join(word if word in OPERATORS else shlex.quote(word) for word in words)


def timestamp() -> str:
    return datetime.now().astimezone().strftime("%a %b %d %H:%M:%S %Z %Y")


def footer(code: int, seconds: float) -> str:
    return f"# Ended (code {code}) at {timestamp()}, elapsed time {seconds:.0f} seconds\n"


def report_failures(request: Request, failed: Sequence[Job]) -> NoReturn:
    """Show why the first failed job failed, say which ones did, and exit with status 1."""
    log = failed[0].log
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    # A command of ours ends in one sentence; of other commands show the end of the log.
    sentences = [line for line in lines if line.startswith("error: ")]
    for line in sentences[-1:] or lines[-10:]:
        print(line, file=sys.stderr)
    numbers = ", ".join(str(job.number) for job in failed[:20] if job.number is not None)
    which = f" (number {numbers})" if numbers and len(request.jobs) > 1 else ""
    where = log if len(failed) == 1 else request.log_pattern()
    fail(f"{len(failed)} / {len(request.jobs)} failed{which}, log is in {where}")
