"""From a declared command to the words that start it, through the wrappers of cmd.sh."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_otreg.recipe.steps import Command


@dataclasses.dataclass(frozen=True)
class Launcher:
    """How commands are started.

    Args:
        wrappers: the arrays of cmd.sh, by name.
        ngpu: GPUs on each machine.
        num_nodes: machines.
    """

    wrappers: Mapping[str, Sequence[str]]
    ngpu: int = 0
    num_nodes: int = 1

    def words(self, command: Command) -> list[str]:
        """What is run for a command.

        >>> launcher = Launcher({"train_cmd": ["run.pl"], "cuda_cmd": ["run.pl"]}, ngpu=1)
        >>> launcher.words(Command("launch_on_device", ("python", "-m", "x"), "train_cmd", "a.log"))
        ['run.pl', '--gpu', '1', 'a.log', 'python', '-m', 'x', '--device', 'cuda']
        >>> launcher.words(Command("launch_training", ("python", "-m", "x"), "cuda_cmd", "a.log"))
        ['run.pl', '--gpu', '1', 'a.log', 'python', '-m', 'x', '--ngpu', '1']
        >>> launcher.words(Command("run", ("cp", "a", "b")))
        ['cp', 'a', 'b']
        """
        if command.kind == "launch_training" and (self.ngpu > 1 or self.num_nodes > 1):
            return self._through_espnet(command)
        return self._wrapped(command)

    def submitted(self, command: Command) -> str | None:
        """The line of sbatch, if a command goes to a Slurm cluster."""
        words = self._wrapped(command)
        if words[0] != "slurm.pl":
            return None
        ask = [words[0], "--dry_run", "true", *words[1:]]
        return subprocess.run(ask, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def _wrapped(self, command: Command) -> list[str]:
        if command.kind == "run":
            return list(command.words)
        resources, more = [], []
        if command.kind == "launch_training":
            resources, more = ["--gpu", str(self.ngpu)], ["--ngpu", str(self.ngpu)]
            if self.num_nodes > 1:  # as ESPnet's launcher asks for it
                resources += ["--num_threads", str(max(1, self.ngpu))]
                resources += ["--num_nodes", str(self.num_nodes)]
        elif command.kind == "launch_on_device" and self.ngpu > 0:
            resources, more = ["--gpu", "1"], ["--device", "cuda"]
        jobs = [command.jobs] if command.jobs else []
        start = [*self.wrappers[command.wrapper], *resources, *jobs, command.log]
        return [*start, *command.words, *more]

    def _through_espnet(self, command: Command) -> list[str]:
        meeting = Path(command.log).parent / ".init_"
        return [
            *("python", "-m", "espnet2.bin.launch"),
            *("--cmd", shlex.join(self.wrappers[command.wrapper]), "--log", command.log),
            *("--ngpu", str(self.ngpu), "--num_nodes", str(self.num_nodes)),
            *("--init_file_prefix", str(meeting), "--", *command.words),
        ]

    def threads(self, at_once: int) -> int | None:
        """Threads of each of ``at_once`` commands that share this machine.

        None if there is nothing to share out: one command, a cluster, or ``OMP_NUM_THREADS`` set.
        """
        here = all(wrapper[0] == "run.pl" for wrapper in self.wrappers.values())
        if at_once == 1 or not here or os.environ.get("OMP_NUM_THREADS"):
            return None
        return max(1, len(os.sched_getaffinity(0)) // at_once)
