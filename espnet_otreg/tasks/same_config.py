"""Whether two configurations of a training are the same, and which differences do not count."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.config import flatten
from espnet_otreg.data.digests import INPUTS, UNREADABLE, UTT2DIGEST, read_digests
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.files import read_json, sha256_file
from espnet_otreg.objectives import parse_objective
from espnet_otreg.slm.config import parse_slm_config
from espnet_otreg.slm.train_data import table_files
from espnet_otreg.tasks.train_config import OWN_OPTIONS

# Where and how a training runs, what it reports, and how much memory it takes.
_MAY_DIFFER = frozenset(
    "config required version output_dir resume overwrite dry_run print_config collect_stats "
    "write_collected_feats sanity ngpu num_workers local_rank distributed "
    "multiprocessing_distributed unused_parameters gradient_as_bucket_view detect_anomaly "
    "log_level log_interval num_att_plot use_matplotlib use_tensorboard "
    "create_graph_in_tensorboard use_wandb max_cache_size max_cache_fd valid_max_cache_size".split()
)
_PREFIXES = ("dist_", "wandb_")
_KEYS = frozenset(
    {
        "llm_conf.activation_checkpointing",
        "model_conf.extract_feats_in_collect_stats",
        "model_conf.max_nonfinite_steps",
    }
)
# When a training ends: what it has learnt until then is the same.
LENGTHS = ("max_epoch", "patience")
# Their rate follows a plan for a number of steps.
_PLANNED = ("onecyclelr", "cosineannealinglr", "tristagelr", "exponentialdecaywarmup")
_SAMPLES, _SAMPLE = 256, 4096  # parts of a large file of weights, bytes of each
_MODEL_FILES = (".bin", ".jinja", ".json", ".model", ".safetensors", ".txt")


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[str]:
    """What a training would learn otherwise, by the names of options.

    Args:
        old: what ``config.yaml`` says of a training.
        new: the options of a command, of the same names; :data:`INPUTS` may be among them. A file
            that holds what another one held is the same.
        defaults: of all options; one that ``old`` does not name is of a newer version.

    >>> differences({"seed": 1, "ngpu": 0}, {"seed": 2, "ngpu": 1}, {})
    ['seed: 1 -> 2']
    >>> a, b = ({"train_shape_file": [path], "inputs": {path: "7f"}} for path in ("a", "./a"))
    >>> differences(a, b, {})
    []
    >>> differences({}, {"optim_conf": {"lr": 0.1}, "sort_batch": "ascending"},
    ...             {"sort_batch": "ascending"})
    ['optim_conf.lr: not set -> 0.1']
    """
    one = flatten({k: v for k, v in old.items() if _counts(k)})
    two = flatten(
        {
            k: v
            for k, v in new.items()
            if _counts(k) and (k in old or k not in defaults or v != defaults[k])
        }
    )
    before, now = (side.get(INPUTS) or {} for side in (old, new))
    keys = [key for key in sorted(one.keys() | two.keys()) if one.get(key) != two.get(key)]
    keys = [k for k in keys if k and k not in _KEYS and not _is_empty(k, one, two)]
    # Another name of a file that holds the same: a relative path, a link, a directory that moved.
    keys = [k for k in keys if not _same_content(before.get(one.get(k)), now.get(two.get(k)))]
    if any(_is_of_the_model(key) for key in keys) and _same_model(old, new):
        keys = [key for key in keys if not _is_of_the_model(key)]
    found = [f"{key}: {one.get(key, 'not set')} -> {two.get(key, 'not set')}" for key in keys]
    changed = sorted(path for path in before.keys() & now.keys() if before[path] != now[path])
    return found + [f"the content of {path}" for path in changed]


def _counts(option: str) -> bool:
    ignored = option in _MAY_DIFFER or option in LENGTHS or option == INPUTS
    return not (ignored or option.startswith(_PREFIXES))


def _same_content(digest: str | None, other: str | None) -> bool:
    return digest is not None and digest == other


def _is_of_the_model(key: str) -> bool:
    return key.partition(".")[0] in OWN_OPTIONS


def _is_empty(key: str, one: Mapping[str, str], two: Mapping[str, str]) -> bool:
    """Whether a section is empty on one side and has keys on the other, which are compared."""
    return any(name.startswith(f"{key}.") for name in (*one, *two))


def _same_model(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the differences are defaults that only one of the two writes out."""
    without = [{k: v for k, v in side.items() if k != INPUTS} for side in (old, new)]
    for side in without:
        for name in _KEYS:
            section, _, key = name.partition(".")
            if isinstance(side.get(section), Mapping):
                side[section] = {k: v for k, v in side[section].items() if k != key}
    try:
        old_model, new_model = (
            (parse_slm_config(side), parse_objective(side.get("objective"))) for side in without
        )
        return old_model == new_model
    except ConfigErrors:  # of a version that knew other keys
        return False


def length_errors(
    old: Mapping[str, Any], new: Mapping[str, Any], epochs: int, world_size: int
) -> list[str]:
    """Why a training of ``epochs`` finished epochs cannot go on until its new end.

    Args:
        old: what ``config.yaml`` says of it.
        new: the options of the command.
        epochs: that it has finished.
        world_size: number of processes now.

    >>> length_errors({"max_epoch": 5}, {"max_epoch": 2}, epochs=3, world_size=1)
    ['max_epoch: 5 -> 2, and 3 epochs are done']
    >>> length_errors({"max_epoch": 5}, {"max_epoch": 9}, epochs=3, world_size=1)
    []
    """
    found = []
    before, now = old.get("max_epoch", 0), new["max_epoch"]
    if now < epochs:
        found.append(f"max_epoch: {before} -> {now}, and {epochs} epochs are done")
    elif now > before and new.get("scheduler") in _PLANNED:
        found.append(f"max_epoch: {before} -> {now}, and {new['scheduler']} plans for its end")
    patience = [side.get("patience") for side in (old, new)]
    if patience[1] is not None and (patience[0] is None or patience[1] < patience[0]):
        found.append(f"patience: {patience[0]} -> {patience[1]}")
    known = int(old.get("dist_world_size") or 1)
    if world_size != known and new.get("iterator_type", "sequence") != "sequence":
        # Of a sequence all processes together take the same batch, however many they are.
        found.append(f"number of processes: {known} -> {world_size}")
    return found


def same_end(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a training that was finished is finished for the new options, too.

    >>> same_end({"max_epoch": 5}, {"max_epoch": 9})
    False
    """
    return all(old.get(name) == new.get(name) for name in LENGTHS)


def content_of_inputs(options: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the files that a training reads: its tables, checkpoints and model directories.

    Recordings and archives that tables name are known by their digests: those of ``feats.json``
    and ``utt2digest``, or else they are read. Of large weights, parts are read.

    Args:
        options: of the training.

    Returns:
        path: digest. What is missing, and names of a hub, are left out.

    >>> content_of_inputs({"train_shape_file": ["none"]})
    {}
    """
    found = {}
    for kind in ("train", "valid"):
        sources: Sequence[Any] = options.get(f"{kind}_data_path_and_name_and_type") or []
        for path in [*(s[0] for s in sources), *(options.get(f"{kind}_shape_file") or [])]:
            found[str(path)] = [sha256_file(file) for file in table_files(Path(path))]
        for path, name, *_ in sources:
            if name == "speech":
                found.update(_content_of_speech(Path(path)))
    for value in options.get("init_param") or []:
        path = Path(value.partition(":")[0])
        found[str(path)] = [sha256_file(path)] if path.is_file() else []
    for section, key in (("llm_conf", "model"), ("encoder_conf", "model"),
                         ("readout_conf", "classes")):  # fmt: skip
        name = (options.get(section) or {}).get(key)
        if isinstance(name, str):
            found[name] = [_digest(file) for file in _model_files(Path(name))]
    sums = {path: "".join(digests) for path, digests in found.items() if digests}
    return {path: hashlib.sha256(text.encode()).hexdigest() for path, text in sums.items()}


def _content_of_speech(table: Path) -> dict[str, list[str]]:
    """Digests of what ``feats.scp`` or ``wav.scp`` lists, and of the list of what was left out."""
    described = table.with_name("feats.json")
    if described.is_file():
        record = read_json(described)
        content, without = record.get("content"), record.get("unreadable")
        found = {str(described): [content] if content else []}
        return found | {str(table.with_name(UNREADABLE)): [without] if without else []}
    if not table.is_file():
        return {}
    without = table.with_name(UNREADABLE)
    return {
        str(table.with_name(UTT2DIGEST)): list(read_digests(table.parent).values()),
        str(without): [sha256_file(without)] if without.is_file() else [],
    }


def _model_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(path.iterdir()) if path.is_dir() else []
    return [f for f in files if f.is_file() and f.suffix in _MODEL_FILES and f.name[0] != "."]


def _digest(path: Path) -> str:
    """Of a large file, a digest of its size and of parts all over it."""
    size = path.stat().st_size
    if size <= 2 * _SAMPLES * _SAMPLE:
        return f"{path.name} {sha256_file(path)}"
    total = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for n in range(_SAMPLES):
            file.seek(n * (size - _SAMPLE) // (_SAMPLES - 1))
            total.update(file.read(_SAMPLE))
    return f"{path.name} {total.hexdigest()}"
