"""A resolved experiment: what is trained from what, how it is called, decoded and compared.

``espnet_otreg.recipe.experiment`` reads ``conf/PRESET/experiment.yaml`` and writes what follows to
``EXP/experiment.json``; everything that needs a name, a checkpoint or a mode asks that file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json

EXPERIMENT_FILE = "experiment.json"
PRETRAIN = "pretrain"  # the stage that trains the projector alone: the LLM is not run
_FORMAT = "otreg-experiment-1"


@dataclass(frozen=True)
class Training:
    """One training: a run of the experiment with one seed.

    Attributes:
        name: of the run.
        title: of the run in tables.
        stage: of the recipe, such as ``pretrain``.
        seed: of all random numbers.
        directory: where it goes.
        config: the resolved YAML file that ESPnet's ``--config`` gets.
        initial: the checkpoint it starts from; None for a training from scratch.
        checkpoint: file name in ``directory`` of the checkpoint that is used.
        text: ``"paired"``, or ``"unpaired"`` where utterances get the transcripts of others.
        modes: the ways in which it is decoded; none for a training that others go on from only.
        speech: which part of the training speech it sees; None for all.
    """

    name: str
    title: str
    stage: str
    seed: int
    directory: Path
    config: Path
    initial: Path | None
    checkpoint: str
    text: str
    modes: tuple[str, ...]
    speech: Mapping[str, Any] | None = None

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint that is used."""
        return self.directory / self.checkpoint


@dataclass(frozen=True)
class Pair:
    """Two runs that are compared; the primary pair is the one that a claim is made about."""

    baseline: str
    candidate: str
    primary: bool = False


@dataclass(frozen=True)
class Experiment:
    """The runs that were asked for, with everything they go on from.

    Attributes:
        directory: for instance ``exp/mini``.
        encoder: speech encoder by name or directory.
        llm: LLM by name or directory, or ``"train"``.
        augment_copies: augmented copies of each training utterance.
        arms: names of the runs that are compared, in the order of tables.
        pretrainings: names of the runs of stage pretrain; the arms go on from the first.
        seeds: those of every run.
        modes: ways of decoding.
        floor_modes: more ways for the first arm, which show what the LLM guesses.
        pairs: comparisons of these runs, the primary one first.
        trainings: all trainings in the order in which they are possible.
        earlier: trainings of the same directory that an earlier call asked for.
        encoder_layers: features are the hidden state behind so many; None for the final output.
    """

    directory: Path
    encoder: str
    llm: str
    augment_copies: int
    arms: tuple[str, ...]
    pretrainings: tuple[str, ...]
    seeds: tuple[int, ...]
    modes: tuple[str, ...]
    floor_modes: tuple[str, ...]
    pairs: tuple[Pair, ...]
    trainings: tuple[Training, ...]
    earlier: tuple[Training, ...] = ()
    encoder_layers: int | None = None

    @property
    def primary(self) -> Pair | None:
        """The pair that a claim is made about, None if there is none."""
        return next((pair for pair in self.pairs if pair.primary), None)

    def training(self, name: str, seed: int | None = None) -> Training:
        """A training by the name of its run; of any seed if none is given.

        Raises:
            UserError: if there is none.
        """
        for training in self.trainings:
            if training.name == name and seed in (None, training.seed):
                return training
        of_seed = "" if seed is None else f" with seed {seed}"
        raise UserError(f"no run {name}{of_seed}", str(self.directory), "name another one")

    def title(self, name: str) -> str:
        """A run as it stands in tables."""
        return self.training(name).title

    def run_dir(self, name: str, seed: int) -> Path:
        """Where the training of a run with a seed goes."""
        return self.training(name, seed).directory

    def save(self) -> None:
        """Write ``experiment.json``, with the paths relative to its directory."""
        values = asdict(replace(self, trainings=(), earlier=()))
        del values["directory"]
        for key in ("trainings", "earlier"):
            values[key] = [_to_json(training, self.directory) for training in getattr(self, key)]
        write_json(self.directory / EXPERIMENT_FILE, {"format": _FORMAT, **values})


def _to_json(training: Training, directory: Path) -> dict[str, Any]:
    values = asdict(training)
    for key in ("directory", "config", "initial"):
        if values[key] is not None:
            values[key] = os.path.relpath(values[key], directory)
    return values


def _from_json(values: Mapping[str, Any], directory: Path) -> Training:
    paths = {key: directory / values[key] for key in ("directory", "config")}
    initial = directory / values["initial"] if values["initial"] else None
    return Training(**{**values, **paths, "initial": initial, "modes": tuple(values["modes"])})


def load_experiment(directory: str | Path) -> Experiment:
    """The experiment that a recipe has planned in a directory.

    Raises:
        UserError: if there is none, or it is of another version.
    """
    directory = Path(directory)
    path = directory / EXPERIMENT_FILE
    if not path.is_file():
        raise UserError("no experiment here", str(path), "run the recipe's run.sh first")
    values = read_json(path)
    try:
        if values.pop("format") != _FORMAT:
            raise ValueError("of another version")
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        fields["pairs"] = tuple(Pair(**pair) for pair in fields["pairs"])
        for key in ("trainings", "earlier"):
            fields[key] = tuple(_from_json(entry, directory) for entry in fields[key])
        return Experiment(directory=directory, **fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        mend = "run the recipe's run.sh again: it writes it anew"
        raise UserError(f"this is no experiment ({error})", str(path), mend) from error


def training_of(model_dir: str | Path) -> Training | None:
    """The training that a directory holds, as the ``experiment.json`` beside it has it.

    None for a model that was not trained by a recipe, or that was packed.

    Raises:
        UserError: if that file is damaged.

    >>> training_of("/no/such/model")
    """
    place = Path(os.path.abspath(model_dir))
    if not (place.parent / EXPERIMENT_FILE).is_file():
        return None
    experiment = load_experiment(place.parent)
    known = (*experiment.trainings, *experiment.earlier)
    return next((training for training in known if training.directory.name == place.name), None)
