"""Runs what slm.sh declares: decides, locks, launches, shows, records."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import IO

from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.log_times import spent_in
from espnet_otreg.recipe.display import Display, read_progress
from espnet_otreg.recipe.launch import Launcher
from espnet_otreg.recipe.ledger import Decision, examine, finish, prepare
from espnet_otreg.recipe.locks import DirectoryLock, shared_locks
from espnet_otreg.recipe.steps import Command, Declarations, Stage, Work

_LOOK_SECONDS = 0.5
_LIBC = ctypes.CDLL(None)
_KILL_ME_WITH_MY_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class Failed(Exception):
    """A command has failed, and its wrapper has said why."""


class Stopped(Exception):
    """A signal asked the run to end."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a run is done.

    Args:
        experiment: its directory, which is locked for the whole run.
        shared: directories that several experiments write into, each locked while a step does.
        models_at_once: works on models that run beside each other.
        force: whether finished steps run again.
    """

    experiment: str
    shared: Sequence[str] = ()
    models_at_once: int = 1
    force: bool = False


# What path.sh and options say to all commands.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONUTF8", "LC_ALL", "TOKENIZERS_PARALLELISM",
                "HF_HUB_OFFLINE")  # fmt: skip


def show_all(declared: Declarations, launcher: Launcher) -> Iterator[str]:
    """Every command, ready to paste into a shell; what is no command is a comment."""
    yield shlex.join(["cd", os.getcwd()])
    given = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    yield " ".join(["export", *(f"{name}={shlex.quote(given[name])}" for name in given)])
    if declared.planning:  # the commands read the configurations that it writes
        yield f"{shlex.join(declared.planning)} >/dev/null"
    for stage in declared.stages:
        skipped = ": skipped (--skip_train)" if stage.skipped else ""
        yield f"# stage {stage.number} {stage.name}{skipped}"
        for command in (command for work in stage.works for command in work.commands):
            yield shlex.join(launcher.words(command))
            submitted = launcher.submitted(command)
            if submitted:
                yield f"# {submitted}"
    for command in declared.results:
        yield shlex.join(launcher.words(command))


@dataclasses.dataclass
class _Active:
    """A work that runs: what the ledger decided, the command that runs, what is left."""

    work: Work
    decisions: list[Decision]
    waiting: list[Command]
    process: subprocess.Popen[bytes] | None = None
    command: Command | None = None
    said: IO[bytes] | None = None  # by a command without a log
    started: float = dataclasses.field(default_factory=time.monotonic)
    since: float = dataclasses.field(default_factory=time.time)


class _Output:
    """Standard error of the programs while a line of the display is written anew: it is shown
    above that line, not amid it."""

    def __init__(self) -> None:
        self.number, name = tempfile.mkstemp()
        self.file = open(name, "rb")
        os.unlink(name)

    def read(self) -> bytes:
        """What is new."""
        return self.file.read()


class Runner:
    """Runs all stages.

    Args:
        options: see :class:`RunOptions`.
        declared: what the shell has declared.
        launcher: how commands are started.
        display: what the user sees.
    """

    def __init__(
        self, options: RunOptions, declared: Declarations, launcher: Launcher, display: Display
    ) -> None:
        self.options, self.declared = options, declared
        self.launcher, self.display = launcher, display
        self.running: list[_Active] = []
        self.stage: Stage | None = None
        self.logs: list[str] = []
        self.expected = self.finished = 0  # works of the stage
        self.locks: list[int] = []
        self.output = _Output() if display.terminal else None
        self.received = 0
        self._starting = False
        self._wakeup, writing = os.pipe()
        for number in (self._wakeup, writing):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(sign) != signal.SIG_IGN:  # nohup ignores HUP, and so do we then
                signal.signal(sign, self._on_signal)

    def run(self) -> int:
        """Run all; the exit status."""
        status, ended = 1, "failed; mend the above, then"
        try:
            with contextlib.closing(DirectoryLock(self.options.experiment, waits=False)) as lock:
                self.locks = [lock.number]
                try:
                    self._run_all()
                finally:
                    self._end_all()
            return 0
        except (UserError, OSError) as error:
            self.display.error(f"error: {sentence_for(error)}")
        except (Failed, subprocess.CalledProcessError):
            pass  # the command has said why
        except Stopped:
            status = 128 + self.received
            ended = f"was stopped by {signal.Signals(self.received).name};"
        if self.stage:
            self.display.error(
                f"error: stage {self.stage.name} {ended} go on with: "
                f"{self.display.go_on} --stage {self.stage.name}"
            )
        return status

    def _run_all(self) -> None:
        for stage in self.declared.stages:
            self._run_stage(stage)
        self.stage = None
        self.display.flush(at_the_end=True)
        for command in self.declared.results:
            subprocess.run(command.words, check=True)

    def _run_stage(self, stage: Stage) -> None:
        if stage.skipped:
            self.display.skipped(stage)
            return
        self.stage, self.logs = stage, []
        self.expected, self.finished = len(stage.works), 0
        self.display.begin(stage)
        beside = [work for work in stage.works if work.beside and not self._shared(work)]
        for work in stage.works:
            if work not in beside:
                self._run_alone(work)
        self._run_beside(beside)
        self.display.end(self.logs, ran=self.finished > 0)

    def _run_alone(self, work: Work) -> None:
        if not self._decide(work):
            self.expected -= 1
            return
        with shared_locks(self._shared(work)) as numbers:
            self.locks += numbers
            try:
                decisions = self._decide(work)  # another run may have done it meanwhile
                if not decisions:
                    self.expected -= 1
                    return
                self._start(work, decisions, None)
                while self.running:
                    self._wait()
                    if self._collect():
                        raise Failed
            finally:
                self.locks = [number for number in self.locks if number not in numbers]

    def _run_beside(self, left: list[Work]) -> None:
        """Works on models, some at a time. One that fails does not stop the others."""
        waiting: list[tuple[Work, list[Decision]]] = []
        failed: list[Work] = []
        while left or waiting or self.running:
            busy = [*left, *failed, *(work for work, _ in waiting)]
            busy += [active.work for active in self.running]
            made = {step.directory for work in busy for step in work.steps}
            for work in [work for work in left if not _reads(work, made)]:
                left.remove(work)
                decisions = self._decide(work)
                if decisions:
                    waiting.append((work, decisions))
                else:
                    self.expected -= 1
            if not waiting and not self.running:
                break  # what is left goes on from one that has failed
            at_once = self.options.models_at_once
            count = len(left) + len(waiting) + len(self.running)
            threads = self.launcher.threads(min(at_once, count))
            while waiting and len(self.running) < at_once:
                self._start(*waiting.pop(0), threads)
            self._wait()
            failed += self._collect()
            if failed and at_once == 1:
                break
        if failed:
            raise Failed

    def _shared(self, work: Work) -> list[str]:
        """The shared directories that a work writes into, and, if there are any, reads: what it
        reads there must not be made anew meanwhile."""
        written, read = [*work.locks], []
        for step in work.steps:
            written += [step.directory, *step.outputs]
            read += [*step.inputs, *step.recordings, *step.upstream]
        found = self._shared_above(written)
        return self._shared_above([*written, *read]) if found else []

    def _shared_above(self, names: Iterable[str]) -> list[str]:
        """The shared directories in which these files and directories are."""
        paths = [os.path.realpath(name) + "/" for name in names]
        return [
            shared
            for shared in self.options.shared
            if any(path.startswith(os.path.realpath(shared) + "/") for path in paths)
        ]

    def _decide(self, work: Work) -> list[Decision]:
        """The decisions on its steps, or none if all of them still hold.

        What is missing may be what another run is making anew in a shared directory: wait for it.
        """
        try:
            decisions = [examine(step, self.options.force) for step in work.steps]
        except (UserError, OSError):
            if len(self.locks) > 1:
                raise  # this run has a shared directory for itself
            with shared_locks(name for name in self.options.shared if os.path.isdir(name)):
                decisions = [examine(step, self.options.force) for step in work.steps]
        return decisions if any(decision.record for decision in decisions) else []

    def _start(self, work: Work, decisions: list[Decision], threads: int | None) -> None:
        for step, decision in zip(work.steps, decisions, strict=True):
            if decision.record is None:
                continue
            if decision.again and not decision.forced:
                self.display.error(f"{step.directory}: {decision.reason}")
            prepare(step, decision)
        active = _Active(work, decisions, list(work.commands))
        self.logs += dict.fromkeys(command.log for command in work.commands if command.log)
        self._start_next(active, threads)

    def _start_next(self, active: _Active, threads: int | None = None) -> None:
        """Start the next command of a work."""
        active.command = active.waiting.pop(0)
        active.since = time.time()
        active.said = None if active.command.log else tempfile.TemporaryFile()
        environment = dict(os.environ)
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        self._starting = True  # a signal must not hide a program that was just started
        parent = os.getpid()
        active.process = subprocess.Popen(
            self.launcher.words(active.command),
            stdin=subprocess.DEVNULL,
            stderr=active.said or (self.output.number if self.output else None),
            env=environment,
            pass_fds=self.locks,
            preexec_fn=lambda: _end_with(parent),
        )
        if active not in self.running:
            self.running.append(active)
        self._starting = False
        if self.received:
            raise Stopped

    def _collect(self) -> list[Work]:
        """Record the works that have ended, go on with the others; those that failed."""
        failed = []
        for active in list(self.running):
            assert active.process is not None
            if active.process.poll() is None:
                continue
            if active.process.returncode != 0:
                if active.said is not None and active.said.seek(0, os.SEEK_END):
                    active.said.seek(0)
                    self.display.error(active.said.read().decode("utf-8", "replace").rstrip())
                self.running.remove(active)
                failed.append(active.work)
            elif active.waiting:
                self._start_next(active)
            else:
                self.running.remove(active)
                self.finished += 1
                self._record(active)
        if failed:
            self._show_output()
        return failed

    def _record(self, active: _Active) -> None:
        """Write down that the steps of a work have ended; each took its share of the time."""
        ran = [
            (step.directory, decision.record)
            for step, decision in zip(active.work.steps, active.decisions, strict=True)
            if decision.record is not None
        ]
        seconds = (time.monotonic() - active.started) / len(ran)
        spent = spent_in([command.logs() for command in active.work.commands])
        for directory, record in ran:
            of_these = {kind: value / len(ran) for kind, value in spent.items()}
            finish(directory, record, seconds, **of_these)

    def _wait(self) -> None:
        """Until a program ends or a signal comes, at most half a second."""
        select.select([self._wakeup], [], [], _LOOK_SECONDS)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup, 4096)
        self._show_output()
        self.display.tick(self._status)

    def _show_output(self) -> None:
        text = self.output.read() if self.output else b""
        if text:
            self.display.clear()
            sys.stderr.buffer.write(text)
            sys.stderr.buffer.flush()

    def _status(self) -> tuple[str, float]:
        """What runs, and the share of the stage that is done."""
        assert self.stage is not None
        said, fraction = [], float(self.finished)
        for active in self.running:
            logs = active.command.logs() if active.command else []
            found = [read_progress(log, active.since) for log in logs]
            lines = [line for line in found if line is not None]
            name = active.work.name
            if lines:
                done, total = sum(line.done for line in lines), sum(line.total for line in lines)
                name += f" {done}/{total} {lines[0].unit}"
                share = sum(line.fraction for line in lines) / len(found)
                commands = len(active.work.commands)
                fraction += (commands - len(active.waiting) - 1 + share) / commands
            said.append(name)
        if self.expected > 1:
            said.insert(0, f"{self.finished} of {self.expected} done")
        return ", ".join(said), fraction / max(1, self.expected)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, self.received = bool(self.received), number
        if again:  # they are told again; we still wait for their end
            self._tell_all()
        elif not self._starting:
            raise Stopped

    def _tell_all(self) -> None:
        for active in self.running:
            if active.process is not None and active.process.poll() is None:
                active.process.terminate()

    def _end_all(self) -> None:
        """End what still runs. Wrappers end their jobs, or cancel them."""
        self._tell_all()
        for active in self.running:
            if active.process is not None:
                active.process.wait()
        self._show_output()


def _reads(work: Work, directories: set[str]) -> bool:
    """Whether a work goes on from what is made in one of these directories."""
    own = {step.directory for step in work.steps}
    needed = {name for step in work.steps for name in step.upstream}
    return bool(needed & (directories - own))


def _end_with(parent: int) -> None:
    """In a program that is started: end when this one does, even by ``kill -9``."""
    _LIBC.prctl(_KILL_ME_WITH_MY_PARENT, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
