"""The facts that decide whether a finished step still holds: settings, inputs, outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_yaml, sha256_file

# How and where a command runs changes nothing in what it makes.
IGNORED = frozenset(
    "cmd command device dist_init_method dist_master_addr dist_master_port data_root "
    "download_dir force job log_interval log_level multiprocessing_distributed nj ngpu num_jobs "
    "num_workers print_config python threads use_matplotlib use_tensorboard use_wandb".split()
)


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested YAML as dotted keys and printed values.

    >>> flatten({"optim_conf": {"lr": 0.1}, "regularizers": [{"otreg": {"weight": 0.3}}]})
    {'optim_conf.lr': '0.1', 'regularizers.0.otreg.weight': '0.3'}
    >>> flatten({"a": [], "b": None})
    {'a': '[]', 'b': 'null'}
    """
    if isinstance(value, Mapping) and value:
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, (list, tuple)) and value:
        items = enumerate(value)
    else:
        return {prefix: value if isinstance(value, str) else json.dumps(value, default=str)}
    flat: dict[str, str] = {}
    for key, inner in items:
        flat.update(flatten(inner, f"{prefix}.{key}" if prefix else str(key)))
    return flat


def read_settings(path: str | Path) -> dict[str, str]:
    """The keys of a YAML file, flattened.

    Raises:
        UserError: if it is no YAML or holds no keys.
    """
    return flatten(read_yaml(path))


def require_equal(first: str | Path, second: str | Path, but: str) -> None:
    """Make sure that two YAML files agree in everything except ``but`` and what is below it.

    Raises:
        UserError: naming every other key in which they differ.
    """
    one, two = read_settings(first), read_settings(second)
    keys = sorted(one.keys() | two.keys())
    other = [key for key in keys if key.split(".")[0] != but and one.get(key) != two.get(key)]
    if other:
        raise UserError(
            f"differs from {first} in {', '.join(other)}",
            str(second),
            f"a fair comparison allows {but} only",
        )


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
    return that_count({**settings, **flags})


def that_count(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings without those in :data:`IGNORED`.

    >>> that_count({"nj": "4", "seed": "1"})
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


def input_facts(paths: Iterable[str], before: Mapping[str, Any]) -> dict[str, Any]:
    """Size and sha256 of every input; a file as old and as large as ``before`` is not read.

    Args:
        paths: files and directories.
        before: an earlier answer of this function.
    """
    facts = {}
    for path in expand(paths):
        status = path.stat()
        known = before.get(str(path), {})
        same = (known.get("size"), known.get("mtime_ns")) == (status.st_size, status.st_mtime_ns)
        facts[str(path)] = {
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": known["sha256"] if same else sha256_file(path),
        }
    return facts


def output_facts(paths: Iterable[str]) -> dict[str, Any]:
    """Size and sha256 of every output file."""
    return {
        str(path): {"size": path.stat().st_size, "sha256": sha256_file(path)}
        for path in expand(paths)
    }


def digest(record: Mapping[str, Any]) -> str:
    """One sha256 that stands for what a step made, and how.

    The inputs do not count: what matters of them is in the outputs. So a step that was done again
    and made the same leaves all that follows valid.

    >>> record = {"stage": "tokens", "settings": {}, "upstream": {}, "outputs": {}}
    >>> digest(record) == digest({**record, "settings": {"a": "1"}})
    False
    """
    parts = [record[name] for name in ("stage", "settings", "upstream", "outputs")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
