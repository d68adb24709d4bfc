"""Which runs and which utterances the numbers come from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.data.kaldi_dir import set_name
from espnet_otreg.data.languages import read_languages
from espnet_otreg.experiment import Experiment, Training
from espnet_otreg.files import read_json, read_yaml, sha256_file
from espnet_otreg.models_offline.directory import model_revision
from espnet_otreg.models_offline.hub import split_revision
from espnet_otreg.recipe.facts import read_settings
from espnet_otreg.scoring.references import read_domains

UNKNOWN = "?"


def training_runs(experiment: Experiment) -> list[dict[str, Any]]:
    """One entry for each training run that is there: arm, seed, configuration, checkpoint, time.

    ``config_sha256`` is of the configuration that ESPnet saved, which holds every option.
    """
    return [
        {"arm": training.title, "seed": training.seed, **_run(training)}
        for training in experiment.trainings
        if (training.directory / "config.yaml").is_file()
    ]


def _run(training: Training) -> dict[str, Any]:
    directory, checkpoint = training.directory, training.checkpoint_path
    config = read_yaml(directory / "config.yaml")
    done = directory / ".done"
    return {
        "steps": _steps(config),
        "batch": config.get("batch_bins") or config.get("batch_size"),
        "regularizers": _regularizers(config.get("regularizers") or []),
        "encoder": _encoder(config),
        "llm": _model_name((config.get("llm_conf") or {}).get("model", UNKNOWN)),
        "config_sha256": sha256_file(directory / "config.yaml"),
        "checkpoint_sha256": sha256_file(checkpoint) if checkpoint.is_file() else UNKNOWN,
        "seconds": read_json(done)["seconds"] if done.is_file() else None,
        "decoding": _decoding(training),
    }


def _model_name(model: str) -> str:
    """A hub name or a path within the recipe as it is, of other paths the last part.

    The hub's commit is added where it is known.

    >>> _model_name("exp/mini/llm"), _model_name("/models/smollm2-135m")
    ('exp/mini/llm', 'smollm2-135m')
    """
    name = Path(model).name if Path(model).is_absolute() else model
    revision = model_revision(model)
    return f"{split_revision(name)[0]}@{revision}" if revision else name


def _encoder(config: dict[str, Any]) -> str:
    """The model that encodes the speech, or the one that has made the features."""
    named = (config.get("encoder_conf") or {}).get("model")
    for path, name, _ in config.get("train_data_path_and_name_and_type") or []:
        features = Path(path).parent / "feats.json"
        if named is None and name == "speech" and features.is_file():
            named = read_json(features).get("encoder")
    return _model_name(named) if named else UNKNOWN


def _decoding(training: Training) -> dict[str, dict[str, Any]]:
    """By way of decoding the settings that it found for itself, such as weights that the
    development set chose."""
    found: dict[str, dict[str, Any]] = {}
    for mode in training.modes:
        for status in sorted(training.directory.glob(f"{mode}/*/status.json"))[:1]:
            facts = read_json(status)
            facts.pop("options", None)  # what it was told; it found out the rest
            groups = [group for group in facts.values() if isinstance(group, dict)]
            settings = {key: value for group in groups for key, value in group.items()}
            if settings:
                found[mode] = settings
    return found


def _steps(config: dict[str, Any]) -> int | None:
    """Optimiser steps, where the configuration fixes them."""
    epochs, batches = config.get("max_epoch"), config.get("num_iters_per_epoch")
    if not epochs or not batches:
        return None
    return int(epochs * batches // (config.get("accum_grad") or 1))


def _regularizers(entries: Sequence[dict[str, Any]]) -> str:
    """Names and weights.

    >>> _regularizers([{"otreg": {"weight": 0.3, "epsilon": 0.1}}, {"ctc": None}])
    'otreg (0.3), ctc'
    """
    texts = []
    for entry in entries:
        for name, values in entry.items():
            weight = (values or {}).get("weight")
            texts.append(name if weight is None else f"{name} ({weight})")
    return ", ".join(texts)


def configuration_differences(experiment: Experiment) -> list[str] | None:
    """Top-level keys in which the saved configurations of the primary pair differ, with any seed.

    None if no seed has both. File names that every run has of its own do not count.
    """
    if (pair := experiment.primary) is None:
        return None
    found: set[str] = set()
    compared = False
    for seed in experiment.seeds:
        sides = (pair.baseline, pair.candidate)
        paths = [experiment.run_dir(name, seed) / "config.yaml" for name in sides]
        if all(path.is_file() for path in paths):
            compared = True
            one, other = (read_settings(path) for path in paths)
            found |= {k for k in one.keys() | other.keys() if one.get(k) != other.get(k)}
    names = {key.split(".")[0] for key in found} - {"output_dir", "config"}
    return sorted(names) if compared else None


def split_facts(data_dirs: Sequence[str | Path], record: str | Path | None) -> list[dict[str, Any]]:
    """Fingerprint of every set: sha256 of its sorted utterance ids, joined by newlines.

    Args:
        data_dirs: Kaldi directories with text, utt2lang and perhaps utt2domain.
        record: ``conf/split.json``, the recorded split, or None.
    """
    recorded = read_json(record)["sets"] if record and Path(record).is_file() else {}
    facts = []
    for directory in map(Path, data_dirs):
        languages = read_languages(directory / "utt2lang")
        domains = read_domains(directory, languages)
        digest = hashlib.sha256("\n".join(sorted(languages)).encode()).hexdigest()
        expected = recorded.get(set_name(directory))
        counts = Counter(f"{languages[key]} {domains[key]}" for key in languages)
        facts.append(
            {
                "set": set_name(directory),
                "utterances": len(languages),
                "by_set": dict(sorted(counts.items())),
                "sha256": digest,
                "record": _against(expected, digest, len(languages)),
            }
        )
    return facts


def _against(expected: dict[str, Any] | None, digest: str, count: int) -> str:
    """How a set compares with its record.

    >>> _against({"sha256": "ab", "utterances": 9}, "cd", 4)
    'part of the recorded 9'
    """
    if expected is None:
        return "not recorded"
    if expected["sha256"] == digest:
        return "as recorded"
    if count < expected["utterances"]:
        return f"part of the recorded {expected['utterances']}"
    return "DIFFERS from the record"
