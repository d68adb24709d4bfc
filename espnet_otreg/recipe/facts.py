"""The facts that decide whether a finished step still holds: settings, inputs, outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.config import flatten
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_yaml, sha256_file
from espnet_otreg.recipe.formats import format_of

# How and where a command runs changes nothing in what it makes.
IGNORED = frozenset(
    "cmd command device dist_init_method dist_master_addr dist_master_port data_root "
    "download_dir force job log_interval log_level multiprocessing_distributed nj ngpu num_jobs "
    "num_workers print_config python threads use_matplotlib use_tensorboard use_wandb".split()
)


def read_settings(path: str | Path) -> dict[str, str]:
    """The keys of a YAML file, flattened.

    Raises:
        UserError: if it is no YAML or holds no keys.
    """
    return flatten(read_yaml(path))


def command_settings(words: Sequence[str]) -> dict[str, str]:
    """The settings in a command line: its module, its flags, and the keys of ``--config FILE``.

    Flags override the file as they do in the command itself. Words before ``-m MODULE`` (the
    wrapper and the interpreter) and the names in :data:`IGNORED` do not count.

    >>> command_settings("run.pl --mem 4G a.log python -m slm_train --seed 1 --nj 4 "
    ...                  "--optim_conf lr=0.1 betas=[0,1] --full".split())
    {'module': 'slm_train', 'seed': '1', 'optim_conf.lr': '0.1', 'optim_conf.betas': '[0,1]', \
'full': 'true'}
    """
    if "-m" not in words:
        return {}
    start = list(words).index("-m") + 1
    settings = {"module": words[start]}
    flags: dict[str, str] = {}
    values: list[str] = []
    repeated: dict[str, list[str]] = {}
    for word in words[start + 1 :]:
        if word.startswith("--"):
            values = repeated.setdefault(word[2:].replace("-", "_"), [])
            if values:
                values.append(",")  # a flag given twice keeps both values apart
        else:
            values.append(word)
    for name, given in repeated.items():
        if name == "config":
            settings.update(read_settings(given[-1]))
        else:
            flags.update(_flag_settings(name, given))
    return without_ignored({**settings, **flags})


def step_settings(commands: Iterable[Sequence[str]]) -> dict[str, str]:
    """The settings of several commands that make one step, and the format of what they make.

    >>> step_settings([["python", "-m", "espnet_otreg.bin.slm_pack", "--output", "a"],
    ...                ["cp", "a", "b"]])
    {'module': 'espnet_otreg.bin.slm_pack', 'output': 'a', 'format': '1'}
    """
    settings: dict[str, str] = {}
    modules: list[str] = []
    commands = list(commands)
    for words in commands:
        found = command_settings(words)
        if found and found["module"] not in modules:
            modules.append(found["module"])
        settings.update(found)
    if modules:
        settings["module"] = " ".join(modules)
    number = format_of(commands)
    return {**settings, "format": number} if number else settings


def without_ignored(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings without those in :data:`IGNORED`.

    >>> without_ignored({"nj": "4", "seed": "1"})
    {'seed': '1'}
    """
    return {name: v for name, v in settings.items() if name.split(".")[0] not in IGNORED}


def _flag_settings(name: str, values: Sequence[str]) -> dict[str, str]:
    """``--optim_conf lr=0.1`` sets one key of a mapping, ``--seed 1`` a value."""
    if name.endswith("_conf") and all("=" in value for value in values if value != ","):
        pairs = (value.split("=", 1) for value in values if value != ",")
        return {f"{name}.{key}": value for key, value in pairs}
    return {name: " ".join(values) if values else "true"}


def expand(paths: Iterable[str]) -> list[Path]:
    """Files as they are, directories as the files below them; hidden ones do not count.

    Raises:
        UserError: if a path does not exist or is an empty file.
    """
    files: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            below = (file for file in path.rglob("*") if file.is_file())
            files += sorted(
                file
                for file in below
                if not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
        elif not path.exists():
            raise UserError("no such file or directory", name, "look at the log of its stage")
        else:
            files.append(path)
    return files


def file_facts(paths: Iterable[str], before: Mapping[str, Any]) -> dict[str, Any]:
    """Size and sha256 of every file; one that nobody has written to since ``before`` is not read.

    The time is that of the last change of the file's content or status, which the system sets: no
    program can put it back after a change, as it can the time of modification.

    Args:
        paths: files and directories.
        before: an earlier answer of this function.
    """
    facts = {}
    for path in expand(paths):
        status = path.stat()
        known = before.get(str(path), {})
        same = (known.get("size"), known.get("ctime_ns")) == (status.st_size, status.st_ctime_ns)
        facts[str(path)] = {
            "size": status.st_size,
            "ctime_ns": status.st_ctime_ns,
            "sha256": known["sha256"] if same else sha256_file(path),
        }
    return facts


def digest(record: Mapping[str, Any]) -> str:
    """One sha256 that stands for what a step made, and how.

    The inputs do not count: what matters of them is in the outputs. So a step that was done again
    and made the same leaves all that follows valid.

    >>> record = {"stage": "tokens", "settings": {}, "upstream": {}, "outputs": {}}
    >>> digest(record) == digest({**record, "settings": {"a": "1"}})
    False
    """
    made = {
        name: {"size": fact["size"], "sha256": fact["sha256"]}
        for name, fact in record["outputs"].items()
    }
    parts = [record[name] for name in ("stage", "settings", "upstream")] + [made]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
