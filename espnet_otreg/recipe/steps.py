"""What the stage functions of slm.sh declare: stages, their steps and the commands of these.

Shell writes records to standard input, each a count and that many words, all ended by NUL. A
record is one of

* ``planning COMMAND...``: the command that has written the configurations
* ``wrapper NAME WORD...``: an array of cmd.sh, such as ``train_cmd run.pl``; a single word is
  taken apart, as ESPnet's own files write ``train_cmd="run.pl --mem 4G"``
* ``stage NUMBER NAME`` and ``skipped NUMBER NAME``
* ``step DIR [OPTION]...`` and ``model_step DIR [OPTION]...``, see :func:`step_parser`
* ``launch WRAPPER LOG [JOB=1:N] COMMAND...``, ``launch_on_device`` (as ``launch``),
  ``launch_training LOG COMMAND...`` and ``run COMMAND...``: a command of the steps before it
* ``options NAME TEXT``: more words of the command before it, quoted as in a shell
* ``results``: the commands after it are run at the end of the run
* ``end``: nothing is missing
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from espnet_otreg.errors import UserError
from espnet_otreg.recipe.ledger import Step

_ARRAY = re.compile(r"[A-Za-z_]\w*=\d+(:\d+)?")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command and how it is started.

    Args:
        kind: ``run``, ``launch``, ``launch_on_device`` or ``launch_training``.
        words: the command line itself.
        wrapper: the array of cmd.sh that starts it; empty for ``run``.
        log: its log; empty for ``run``.
        jobs: ``JOB=1:N`` for N commands at once, or empty.
        more: those of the words that the user has given.
    """

    kind: str
    words: tuple[str, ...]
    wrapper: str = ""
    log: str = ""
    jobs: str = ""
    more: tuple[str, ...] = ()

    def logs(self) -> list[str]:
        """Its logs, one for each of its jobs.

        >>> Command("launch", ("true",), "train_cmd", "log/a.JOB.log", "JOB=1:2").logs()
        ['log/a.1.log', 'log/a.2.log']
        """
        if not self.log:
            return []
        if not self.jobs:
            return [self.log]
        name, _, numbers = self.jobs.partition("=")
        first, _, last = numbers.partition(":")
        span = range(int(first), int(last or first) + 1)
        return [self.log.replace(name, str(number)) for number in span]

    @property
    def computes(self) -> bool:
        """Whether it spends its time with products of matrices: it trains or runs a model."""
        return self.kind in ("launch_on_device", "launch_training") or self.wrapper == "cuda_cmd"


@dataclasses.dataclass
class Work:
    """Steps that the same commands make, usually one.

    Args:
        steps: what the ledger knows of them.
        commands: run one after another.
        locks: directories that it writes into besides those of its steps and outputs.
        beside: whether it may run beside others of its stage.
    """

    steps: list[Step] = dataclasses.field(default_factory=list)
    commands: list[Command] = dataclasses.field(default_factory=list)
    locks: set[str] = dataclasses.field(default_factory=set)
    beside: bool = False

    @property
    def name(self) -> str:
        """The directory of the first step, for messages."""
        return self.steps[0].directory


@dataclasses.dataclass
class Stage:
    """A stage of the recipe; ``skipped`` if the user said so."""

    number: int
    name: str
    skipped: bool = False
    works: list[Work] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Declarations:
    """All that a run consists of."""

    planning: tuple[str, ...] = ()
    wrappers: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    stages: list[Stage] = dataclasses.field(default_factory=list)
    results: list[Command] = dataclasses.field(default_factory=list)


def split_records(data: bytes) -> list[list[str]]:
    r"""The words of each record.

    Raises:
        EOFError: if the last record is not ``end``: the shell has stopped, and has said why.

    >>> split_records(b"2\0run\0cp\x001\0end\0")
    [['run', 'cp']]
    """
    words = data.decode("utf-8", "surrogateescape").split("\0")
    records, place = [], 0
    while place < len(words) - 1:
        count = int(words[place])
        records.append(words[place + 1 : place + 1 + count])
        place += 1 + count
    if not records or records[-1] != ["end"]:
        raise EOFError
    return records[:-1]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message, "a step of the recipe", "correct the stage function")


def step_parser() -> argparse.ArgumentParser:
    """The options of a step."""
    parser = _Parser(prog="step", allow_abbrev=False)
    parser.add_argument("directory")
    parser.add_argument("--input", action="extend", nargs="+", default=[])
    parser.add_argument("--input_if_there", action="extend", nargs="+", default=[])
    parser.add_argument("--recordings", action="extend", nargs="+", default=[], metavar="DIR")
    parser.add_argument("--upstream", action="extend", nargs="+", default=[], metavar="DIR")
    parser.add_argument("--output", action="extend", nargs="+", default=[])
    parser.add_argument("--shards", action="extend", nargs="+", default=[], metavar="DIR")
    parser.add_argument("--set", action="append", type=setting, default=[], metavar="KEY=VALUE")
    parser.add_argument("--lock", action="extend", nargs="+", default=[], metavar="DIR")
    parser.add_argument("--training", action="store_true", help="never mix with an earlier run")
    parser.add_argument("--stated_only", action="store_true", help="commands are no settings")
    return parser


def setting(text: str) -> tuple[str, str]:
    """``KEY=VALUE`` as a pair.

    >>> setting("llm=train")
    ('llm', 'train')
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, found {text!r}")
    return key, value


def split_options(name: str, text: str) -> list[str]:
    """The words of an option that holds options, quoted as in a shell.

    Raises:
        UserError: if a quote is not closed.

    >>> split_options("--sft_args", "--freeze '[\\"^projector .*\\"]' --max_epoch 3")
    ['--freeze', '["^projector .*"]', '--max_epoch', '3']
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{error}".lower(), f"{name} {text}", "quote it as in a shell") from None


def parse_declarations(data: bytes) -> Declarations:
    """All stages and steps of a run.

    Raises:
        UserError: for an option of a command that is not quoted well.
        EOFError: if the end is missing.
    """
    found = _Reader()
    for verb, *words in split_records(data):
        getattr(found, f"read_{verb}")(verb, words)
    return found.finish()


class _Reader:
    """Takes record after record."""

    def __init__(self) -> None:
        self.declared = Declarations()
        self.commands = self.declared.results

    def read_wrapper(self, verb: str, words: Sequence[str]) -> None:
        name, *command = words
        self.declared.wrappers[name] = shlex.split(command[0]) if len(command) == 1 else command

    def read_planning(self, verb: str, words: Sequence[str]) -> None:
        self.declared.planning = tuple(words)

    def read_stage(self, verb: str, words: Sequence[str]) -> None:
        number, name = words
        self.declared.stages.append(Stage(int(number), name, skipped=verb == "skipped"))

    read_skipped = read_stage

    def read_results(self, verb: str, words: Sequence[str]) -> None:
        self.commands = self.declared.results

    def read_step(self, verb: str, words: Sequence[str]) -> None:
        stage = self.declared.stages[-1]
        if not stage.works or stage.works[-1].commands:  # else the same commands make this one too
            stage.works.append(Work(beside=verb == "model_step"))
        work, given = stage.works[-1], step_parser().parse_args(words)
        work.locks.update(given.lock)
        work.steps.append(
            Step(
                stage=stage.name,
                directory=given.directory,
                settings={key: value for key, value in given.set if value},  # else as if not given
                stated_only=given.stated_only,
                inputs=given.input,
                optional_inputs=given.input_if_there,
                recordings=given.recordings,
                upstream=given.upstream,
                outputs=given.output,
                shards=given.shards,
                training=given.training,
            )
        )
        self.commands = work.commands

    read_model_step = read_step

    def read_run(self, verb: str, words: Sequence[str]) -> None:
        self.commands.append(Command(verb, tuple(words)))

    def read_launch(self, verb: str, words: Sequence[str]) -> None:
        wrapper, log, *command = words
        jobs = command.pop(0) if _ARRAY.fullmatch(command[0]) else ""
        self.commands.append(Command(verb, tuple(command), wrapper, log, jobs))

    read_launch_on_device = read_launch

    def read_launch_training(self, verb: str, words: Sequence[str]) -> None:
        log, *command = words
        self.commands.append(Command(verb, tuple(command), "cuda_cmd", log))

    def read_options(self, verb: str, words: Sequence[str]) -> None:
        name, text = words
        more = tuple(split_options(name, text))
        command = self.commands[-1]
        self.commands[-1] = dataclasses.replace(command, words=command.words + more, more=more)

    def finish(self) -> Declarations:
        for work in (work for stage in self.declared.stages for work in stage.works):
            words = [command.words for command in work.commands]
            # Of a file that an option names the content counts too; YAML is read as settings.
            files = [w for command in work.commands for w in command.more if Path(w).is_file()]
            files = [name for name in files if not name.endswith(".yaml")]
            work.steps = [
                dataclasses.replace(step, commands=words, inputs=[*step.inputs, *files])
                for step in work.steps
            ]
        return self.declared
