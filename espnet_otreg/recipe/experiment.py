"""The trainings of an experiment and their configurations, from a preset and what was asked for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.data.synthesis.config import synthesis_errors
from espnet_otreg.decoding.modes import PROMPT, known_modes
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.experiment import (
    EXPERIMENT_FILE,
    PRETRAIN,
    Experiment,
    Training,
    load_experiment,
)
from espnet_otreg.features.augment import read_augment_config
from espnet_otreg.files import atomic_write
from espnet_otreg.ranges import SEED
from espnet_otreg.recipe.preset import ALL, TRAINING_STAGES, Preset
from espnet_otreg.tasks.train_config import value_errors

UPPER = "hf_whisper_upper"  # reads features of an inner layer of the recipe's encoder
LLM_CONFIG = "llm.yaml"  # how "llm: train" trains it
_ESPNET_CRITERIA = [["train", "loss"], ["valid", "loss"], ["train", "acc"], ["valid", "acc"]]


@dataclass(frozen=True)
class Plan:
    """What a recipe is about to do.

    Attributes:
        experiment: the trainings and what is made of them.
        configs: the resolved configuration of every run, by its name.
        files: other files of the preset, which may be those of the one that it extends; by the
            name that the shell has for them.
    """

    experiment: Experiment
    configs: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Path]

    def write(self) -> None:
        """Write ``EXP/config/RUN.yaml`` of every run, and ``EXP/experiment.json``."""
        import yaml

        for name, values in self.configs.items():
            with atomic_write(self.experiment.training(name).config) as file:
                yaml.safe_dump(dict(values), file, sort_keys=False, allow_unicode=True)
        self.experiment.save()

    def lines(self) -> Iterator[str]:
        """The plan for a shell: fields separated by ``|``.

        Raises:
            UserError: if a path holds that sign or a line break, or the experiment's directory
                one that has a meaning in options of ESPnet.
        """
        experiment = self.experiment
        if set(",%") & set(str(experiment.directory)):
            raise UserError(
                "a directory of experiments with , or %", str(experiment.directory), "rename it"
            )
        for key in ("encoder", "llm", "augment_copies", "encoder_layers"):
            value = getattr(experiment, key)
            yield _line("setting", key, "" if value is None else value)
        if any(config.get("encoder") == UPPER for config in self.configs.values()):
            yield _line("setting", "upper_half", "true")
        for key, path in self.files.items():
            yield _line("setting", key, path)
        for name, speech in {t.name: t.speech for t in experiment.trainings if t.speech}.items():
            yield _line("setting", "speech", name, json.dumps(speech))
        for t in experiment.trainings:
            yield _line("training", t.stage, t.name, t.seed, t.directory, t.config,
                        t.initial or "", t.checkpoint, t.text, " ".join(t.modes))  # fmt: skip


def _line(*fields: object) -> str:
    for value in map(str, fields):
        if "|" in value or "\n" in value:
            raise UserError("a name with | or a line break", value, "call it otherwise")
    return "|".join(map(str, fields))


def _checkpoint_file(rule: str, config: Mapping[str, Any]) -> str:
    """The name that ESPnet gives to the checkpoint of a rule.

    >>> _checkpoint_file("best", {"best_model_criterion": [["valid", "acc", "max"]]})
    'valid.acc.best.pth'
    >>> _checkpoint_file("averaged", {}), _checkpoint_file("latest", {})
    ('valid.loss.ave.pth', 'latest.pth')
    """
    if rule == "latest":
        return "latest.pth"
    criteria = config.get("best_model_criterion") or _ESPNET_CRITERIA
    phase, name, *_ = next((c for c in criteria if c[0] == "valid"), criteria[0])
    return f"{phase}.{name}.{'ave' if rule == 'averaged' else 'best'}.pth"


def _checked(config: Mapping[str, Any]) -> list[str]:
    """The mistakes in a run's configuration; models and token classes are the recipe's."""
    recipe = {"llm_conf": {"model": "llm"}, "readout_conf": {"classes": "classes.json"}}
    if config.get("encoder") == UPPER:
        recipe["encoder_conf"] = {"model": "encoder"}
    completed = {
        key: {**values, **config[key]} if isinstance(config.get(key), Mapping) else values
        for key, values in recipe.items()
        if isinstance(config.get(key), Mapping) or config.get(key) is None
    }
    return value_errors({**config, **completed})


def _with_layers(config: dict[str, Any], layers: int | None) -> dict[str, Any]:
    """A run's configuration, in which Whisper's upper half begins where the features end."""
    conf = config.get("encoder_conf") or {}
    if config.get("encoder") != UPPER or layers is None or not isinstance(conf, Mapping):
        return config
    return {**config, "encoder_conf": {"first": layers, **conf}}


def read_experiment(
    conf_dir: str | Path,
    exp_dir: str | Path,
    arms: Sequence[str] | None = None,
    pretrainings: Sequence[str] | None = None,
    seeds: Sequence[int | str] = (1,),
    modes: Sequence[str] | None = None,
    floor_modes: Sequence[str] | None = None,
    stages: Sequence[str] = TRAINING_STAGES,
    synthesis: str | Path | None = None,
    accept_licence: bool = False,
    num_splits: int = 1,
) -> Plan:
    """Read a preset, check everything, and work out its trainings.

    Args:
        conf_dir: ``conf/PRESET``.
        exp_dir: where the trainings go.
        arms: names of the runs to compare; None for the preset's, as with the next ones, and
            ``["all"]`` for all that there are.
        pretrainings: names of runs of stage pretrain; the first takes the place of the preset's.
        seeds: of every run.
        modes: ways of decoding.
        floor_modes: more ways for the first arm.
        stages: the recipe's training stages in their order.
        synthesis: file that says which training speech is made from text; None for the preset's.
        accept_licence: that the user accepts the terms of voices that are not free.
        num_splits: parts in which training reads its set.

    Raises:
        ConfigErrors: with every mistake of the file, of the names given here and of the
            configurations of all runs that are asked for.
        UserError: if a file is missing or is no YAML.
    """
    preset, exp_dir = Preset(conf_dir, stages), Path(exp_dir)
    errors, entry = preset.errors, preset.entry
    asked = {"arms": arms, "pretrainings": pretrainings}
    chosen: dict[str, tuple[str, ...]] = {}
    for key, names in asked.items():
        where = key if names is None else f"--{key}"
        chosen[key] = tuple(getattr(entry, key) if names is None else names)
        if chosen[key] == (ALL,):
            own = key == "pretrainings"
            chosen[key] = tuple(n for n in preset.runs if (preset.stage(n) == PRETRAIN) == own)
        errors += _name_errors(preset, where, chosen[key])
        for name in chosen[key]:
            if name in preset.runs and (preset.stage(name) == PRETRAIN) != (key == "pretrainings"):
                kind, other = ("a", "pretrainings") if key == "arms" else ("no", "arms")
                errors.append(f"{where}: {name} is {kind} pretraining; give it to --{other}")
    if not chosen["arms"]:
        errors.append("arms: none; name the runs to compare")
    for key in ("encoder", "llm"):
        if not getattr(entry, key):
            errors.append(f"experiment.{key}: missing")
    wanted_modes = tuple(preset.decode.modes if modes is None else modes)
    wanted_floors = tuple(preset.decode.floor_modes if floor_modes is None else floor_modes)
    preset.check_modes("--decode_modes", modes or ())
    preset.check_modes("--floor_modes", floor_modes or ())
    numbers = _seeds(seeds, errors)
    files = {"llm_config": preset.layers.find(LLM_CONFIG)}
    if synthesis or entry.synthesis:
        files["synthesis"] = Path(synthesis or preset.layers.find(str(entry.synthesis)))
        errors += synthesis_errors(files["synthesis"], accept_licence)
    if entry.augment:
        files["augment"] = preset.layers.find(entry.augment)
        errors += _augment_errors(files["augment"])
    names = _in_order(preset, chosen)
    configs = {}
    for name in names:
        errors += _speech_errors(name, preset.runs[name].speech, "synthesis" in files, num_splits)
        try:
            configs[name] = _with_layers(preset.config(name), entry.encoder_layers)
            errors += [f"runs.{name}.set: {error}" for error in _checked(configs[name])]
        except UserError as error:
            errors.append(str(error))
    if errors:
        raise ConfigErrors(list(dict.fromkeys(errors)), preset.layers.place)
    experiment = Experiment(
        directory=exp_dir,
        encoder=str(entry.encoder),
        llm=str(entry.llm),
        augment_copies=entry.augment_copies,
        encoder_layers=entry.encoder_layers,
        arms=chosen["arms"],
        pretrainings=chosen["pretrainings"],
        seeds=numbers,
        modes=wanted_modes,
        floor_modes=wanted_floors,
        pairs=tuple(p for p in preset.pairs if {p.baseline, p.candidate} <= set(names)),
        trainings=(),
    )
    trainings = _trainings(preset, experiment, configs)
    own_modes = [preset.runs[name].modes or () for name in experiment.arms]
    experiment = replace(experiment, modes=tuple(dict.fromkeys(chain(wanted_modes, *own_modes))))
    earlier = _earlier(exp_dir, {training.directory.name for training in trainings})
    return Plan(replace(experiment, trainings=trainings, earlier=earlier), configs, files)


def _speech_errors(
    name: str, speech: Mapping[str, Any] | None, has_synthetic: bool, num_splits: int
) -> list[str]:
    """What keeps a run from seeing the part of the training speech that it names.

    >>> _speech_errors("few", {"synthetic_hours": 1}, False, 2)
    ["runs.few.speech: no speech is made from text here; give the key 'synthesis'", \
'runs.few.speech: parts of the training speech cannot be chosen with --num_splits']
    """
    errors = []
    if speech and not has_synthetic and speech.keys() & {"synthetic_hours", "engines"}:
        errors.append("no speech is made from text here; give the key 'synthesis'")
    if speech and num_splits > 1:
        errors.append("parts of the training speech cannot be chosen with --num_splits")
    return [f"runs.{name}.speech: {error}" for error in errors]


def _augment_errors(path: Path) -> list[str]:
    """The mistakes of the file of ``augment``, which are reported with the others."""
    try:
        read_augment_config(path)
    except ConfigErrors as error:
        return [f"{path}: {one}" for one in error.errors]
    except UserError as error:
        return [str(error)]
    return []


def _name_errors(preset: Preset, where: str, names: Sequence[str]) -> list[str]:
    """Names that are no run, or stand there twice."""
    return [
        f"{where}: there is no run {name!r}; {did_you_mean(name, preset.runs)}"
        for name in names
        if name not in preset.runs
    ] + [f"{where}: {name} stands there twice" for name in set(names) if names.count(name) > 1]


def _seeds(seeds: Sequence[int | str], errors: list[str]) -> tuple[int, ...]:
    """The seeds as numbers.

    >>> errors = []
    >>> _seeds(["1", "b"], errors), errors
    ((1,), ["--seeds: 'b' is no whole number from 0 to 4294967295"])
    """
    numbers = []
    for seed in seeds:
        try:
            numbers.append(int(SEED(str(seed))))
        except argparse.ArgumentTypeError:
            errors.append(f"--seeds: {str(seed)!r} is no {str(SEED).removeprefix('a ')}")
    if len(set(numbers)) < len(numbers):
        errors.append("--seeds: one stands there twice")
    if not seeds:
        errors.append("--seeds: none")
    return tuple(numbers)


def _in_order(preset: Preset, chosen: Mapping[str, Sequence[str]]) -> list[str]:
    """The runs that were chosen and those they go on from, in the order of their trainings."""
    first = next(iter(chosen["pretrainings"]), None)
    names: list[str] = []
    for name in (*chosen["pretrainings"], *chosen["arms"]):
        chain: list[str] = []
        step: str | None = name if name in preset.runs else None
        while step in preset.runs and step not in (*chain, *names):
            chain.insert(0, step)
            step = (preset.upstream(step, first) or (None, ""))[0]
        names += chain
    places = {stage: place for place, stage in enumerate(preset.stages)}
    return sorted(names, key=lambda name: places.get(preset.stage(name), 0))


def _trainings(
    preset: Preset, experiment: Experiment, configs: Mapping[str, Mapping[str, Any]]
) -> tuple[Training, ...]:
    """One training for each run and seed."""
    asked = (*experiment.pretrainings, *experiment.arms)
    first = next(iter(experiment.pretrainings), None)
    trainings = []
    for name, config in configs.items():
        run = preset.runs[name]
        modes = (experiment.modes if run.modes is None else run.modes) if name in asked else ()
        if experiment.arms[0] == name and any(PROMPT in known_modes()[m].needs for m in modes):
            modes = (*modes, *experiment.floor_modes)
        upstream = preset.upstream(name, first)
        for seed in experiment.seeds:
            initial = None
            if upstream is not None:
                file = _checkpoint_file(upstream[1], configs[upstream[0]])
                initial = _training_dir(experiment.directory, upstream[0], seed) / file
            trainings.append(
                Training(
                    name=name,
                    title=preset.title(name),
                    stage=preset.stage(name),
                    seed=seed,
                    directory=_training_dir(experiment.directory, name, seed),
                    config=experiment.directory / "config" / f"{name}.yaml",
                    initial=initial,
                    checkpoint=_checkpoint_file(run.checkpoint, config),
                    text=run.text,
                    modes=tuple(dict.fromkeys(modes)),
                    speech=run.speech,
                )
            )
    return tuple(trainings)


def _training_dir(exp_dir: Path, name: str, seed: int) -> Path:
    return exp_dir / f"{name}_s{seed}"


def _earlier(exp_dir: Path, planned: Collection[str]) -> tuple[Training, ...]:
    """The trainings of earlier plans that this one does not name: they stay usable."""
    if not (exp_dir / EXPERIMENT_FILE).is_file():
        return ()
    before = load_experiment(exp_dir)
    known = {t.directory.name: t for t in (*before.earlier, *before.trainings)}
    return tuple(training for name, training in known.items() if name not in planned)
