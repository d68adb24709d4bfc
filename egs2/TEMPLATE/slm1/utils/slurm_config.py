"""conf/slurm.conf: what the options of slurm.pl mean to sbatch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from job_command import fail


@dataclass
class SlurmConfig:
    """The command and, for each option, its flags by value ("*" stands for any other)."""

    path: Path
    command: list[str] = field(default_factory=lambda: ["sbatch"])
    flags: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)

    def submission(self, options: Mapping[str, str]) -> list[str]:
        """The words that submit a job with ``options``; an undeclared option ends the program."""
        words = list(self.command)
        for name, value in {**self.defaults, **options}.items():
            choices = self.flags.get(name, {})
            chosen = choices.get(value, choices.get("*"))
            if chosen is None:
                fail(f"--{name} {value}: not declared; add 'option {name}=* ...' to {self.path}")
            words += [word.replace("$0", value) for word in chosen]
        return words


def read_config(path: Path) -> SlurmConfig:
    """Read the file; a line that is none of the four kinds ends the program."""
    config = SlurmConfig(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        fail(f"{path}: cannot be read ({(error.strerror or '').lower()}); give it as --config")
    for number, line in enumerate(lines, start=1):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        kind, rest = words[0], words[1:]
        name, equals, value = rest[0].partition("=") if rest else ("", "", "")
        if kind == "command" and rest:
            config.command = rest
        elif kind == "option" and name and equals:
            config.flags.setdefault(name, {})[value] = rest[1:]
        elif kind == "default" and name and equals and len(rest) == 1:
            config.defaults[name] = value
        else:
            fail(f"{path}:{number}: expected 'command ...', 'option k=v ...' or 'default k=v'")
    return config
