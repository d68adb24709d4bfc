"""The file ``conf/PRESET/experiment.yaml``: runs, what each goes on from, and what it sets.

The keys of ``base``, those of the runs that a run is like, and its own are merged by OmegaConf in
this order, so two runs differ only where the later one says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from espnet_otreg.config import did_you_mean, not_negative, parse_config
from espnet_otreg.data.speech_share import SpeechShare
from espnet_otreg.decoding.modes import known_modes
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.experiment import PRETRAIN, Pair
from espnet_otreg.files import read_yaml
from espnet_otreg.recipe.extends import read_layers

TRAINING_STAGES = (PRETRAIN, "train_sft", "train_arms")
ALL = "all"  # stands for the names of all runs
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OF_ITS_OWN = ("title", "like", "set")  # what a run does not take from the one it is like


@dataclass(frozen=True)
class RunEntry:
    """One run as ``experiment.yaml`` has it."""

    stage: str | None = None  # of the recipe; by default the one after that of ``after``
    after: str | None = None  # RUN@RULE: the checkpoint it starts from
    like: str | None = None  # a run from which everything is taken that is not said here
    title: str | None = None  # in tables; by default its name
    text: Literal["paired", "unpaired"] = "paired"
    checkpoint: Literal["best", "latest", "averaged"] = "best"  # the one that is used
    modes: tuple[str, ...] | None = None  # of decoding; by default the experiment's
    speech: dict[str, Any] | None = None  # the part of the training speech that it sees
    set: dict[str, Any] = field(default_factory=dict)  # keys of ESPnet and of the SLM


@dataclass(frozen=True)
class DecodeEntry:
    """Ways of decoding: of all runs, and more for the first arm."""

    modes: tuple[str, ...] = ("ctc", "llm", "joint")
    floor_modes: tuple[str, ...] = ("llm_shuffled", "llm_no_speech")


@dataclass(frozen=True)
class PresetEntry:
    """``experiment.yaml`` as a whole."""

    runs: dict[str, Any]
    extends: str | None = None  # a preset beside this one, from which it takes what it does not say
    base: str | None = None
    encoder: str | None = None
    encoder_layers: int | None = None  # features are taken behind so many; else the final output
    llm: str | None = None
    augment_copies: int = 0
    synthesis: str | None = None  # file that says which training speech is made from text
    augment: str | None = None  # file beside this one: what happens to the copies
    arms: tuple[str, ...] = ()
    pretrainings: tuple[str, ...] = ()
    compare: tuple[Any, ...] = ()
    decode: dict[str, Any] = field(default_factory=dict)

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return not_negative(
            augment_copies=self.augment_copies, encoder_layers=self.encoder_layers or 0
        )


class Preset:
    """The runs of an ``experiment.yaml``, with every mistake in them.

    Args:
        conf_dir: the directory that holds the file.

    Attributes:
        layers: the files that it is read from.
        entry: their keys.
        runs: what each run says together with what it takes from those it is like.
        errors: one sentence for each mistake.
    """

    def __init__(self, conf_dir: str | Path, stages: Sequence[str] = TRAINING_STAGES) -> None:
        self.layers = read_layers(conf_dir)
        self.errors: list[str] = []
        self.stages = tuple(stages)
        entry = parse_config(PresetEntry, self.layers.values, "experiment", self.errors)
        if entry is None:
            raise ConfigErrors(self.errors, self.layers.place)
        self.entry = entry
        self._base = read_yaml(self.layers.find(entry.base)) if entry.base else {}
        self._raw = {str(name): self._raw_run(name, run) for name, run in entry.runs.items()}
        likes = {name: run["like"] for name, run in self._raw.items() if run.get("like")}
        self._likes = self._references("like", likes)
        self.runs = {name: self._run(name) for name in self._raw}
        rules = {
            name: parsed for name, run in self.runs.items() if (parsed := self._follows(name, run))
        }
        known = self._references("after", {name: run for name, (run, _) in rules.items()})
        self._after = {name: (run, rules[name][1]) for name, run in known.items()}
        self._check_stages()
        self._check_titles()
        self.decode = self._decode()
        self.pairs = self._pairs()

    def _raw_run(self, name: Any, values: Any) -> dict[str, Any]:
        """A run's own keys, as far as they are in order."""
        where = f"runs.{name}"
        if not _NAME.fullmatch(str(name)):
            self.errors.append(f"{where}: a name has letters, digits, _, - and . only")
        if name == ALL:
            self.errors.append(f"{where}: this word stands for all runs; choose another name")
        values = {} if values is None else values
        if parse_config(RunEntry, values, where, self.errors) is None:
            return {}
        return dict(values)

    def _references(self, key: str, edges: Mapping[str, str]) -> dict[str, str]:
        """Complain about names that are no run, and about circles; ``edges`` without both."""
        kept = {}
        for name, other in edges.items():
            way = [other]
            while way[-1] != name and (step := edges.get(way[-1])) is not None and step not in way:
                way.append(step)
            if other not in self._raw:
                # What is taken over from another run is told there.
                if key in self._raw[name]:
                    hint = did_you_mean(other, self._raw)
                    self.errors.append(f"runs.{name}.{key}: there is no run {other!r}; {hint}")
            elif way[-1] == name:
                shown = " -> ".join([name, *way])
                self.errors.append(f"runs.{name}.{key}: goes round in a circle: {shown}")
            else:
                kept[name] = other
        return kept

    def _ancestors(self, name: str) -> list[str]:
        """A run and those it is like, itself last."""
        chain = [name]
        while (other := self._likes.get(chain[0])) is not None:
            chain.insert(0, other)
        return chain

    def _run(self, name: str) -> RunEntry:
        merged: dict[str, Any] = {}
        for ancestor in self._ancestors(name):
            kept = {k: v for k, v in merged.items() if k not in _OF_ITS_OWN}
            merged = {**kept, **self._raw[ancestor]}
        return parse_config(RunEntry, merged, f"runs.{name}", []) or RunEntry()

    def _follows(self, name: str, run: RunEntry) -> tuple[str, str] | None:
        """The run and the rule of ``after: RUN@RULE``."""
        if run.after is None:
            return None
        upstream, at, rule = run.after.partition("@")
        rules = ("best", "latest", "averaged")
        own = "after" in self._raw[name]  # a mistake that is taken over is told once
        if own and (not at or rule not in rules):
            hint = did_you_mean(rule, rules) if at else "write RUN@best, @latest or @averaged"
            self.errors.append(f"runs.{name}.after: no rule in {run.after!r}; {hint}")
        return upstream, rule

    def stage(self, name: str) -> str:
        """The stage that trains a run: as it says, else the one after that of its upstream run."""
        if (said := self.runs[name].stage) is not None:
            return said
        if name not in self._after:
            return self.stages[0]
        upstream = self.stage(self._after[name][0])
        place = self.stages.index(upstream) + 1 if upstream in self.stages else 0
        return self.stages[min(place, len(self.stages) - 1)]

    def _check_stages(self) -> None:
        for name, run in self.runs.items():
            if run.stage is not None and run.stage not in self.stages:
                if "stage" in self._raw[name]:
                    hint = did_you_mean(run.stage, self.stages)
                    self.errors.append(f"runs.{name}.stage: no stage {run.stage!r}; {hint}")
            elif name in self._after:
                upstream = self._after[name][0]
                own, before = self.stage(name), self.stage(upstream)
                if before in self.stages[self.stages.index(own) + 1 :]:
                    self.errors.append(
                        f"runs.{name}.stage: {own} comes before {before}, the stage of {upstream}"
                    )

    def _check_titles(self) -> None:
        owners: dict[str, str] = {}
        for name in self._raw:
            first = owners.setdefault(self.title(name), name)
            if first != name:
                self.errors.append(f"runs.{name}.title: also that of {first}; choose another")

    def title(self, name: str) -> str:
        """A run as it stands in tables."""
        return str(self._raw[name].get("title") or name)

    def _decode(self) -> DecodeEntry:
        parsed = parse_config(DecodeEntry, self.entry.decode, "decode", self.errors)
        decode = parsed or DecodeEntry()
        self.check_modes("decode.modes", decode.modes)
        self.check_modes("decode.floor_modes", decode.floor_modes)
        for name, run in self._raw.items():
            self.check_modes(f"runs.{name}.modes", run.get("modes") or ())
            if (speech := run.get("speech")) is not None:
                parse_config(SpeechShare, speech, f"runs.{name}.speech", self.errors)
        return decode

    def check_modes(self, where: str, modes: Iterable[str]) -> None:
        """Complain about ways of decoding that do not exist."""
        known = known_modes()
        self.errors += [
            f"{where}: no way of decoding {mode!r}; {did_you_mean(mode, known)}"
            for mode in modes
            if mode not in known
        ]

    def _pairs(self) -> list[Pair]:
        """The pairs of ``compare``, the primary one first, and every run with the one it is
        like."""
        pairs = []
        for number, values in enumerate(self.entry.compare):
            where = f"compare.{number}"
            pair = parse_config(Pair, values, where, self.errors)
            if pair is None:
                continue
            for role in ("baseline", "candidate"):
                name = getattr(pair, role)
                if name not in self._raw:
                    hint = did_you_mean(name, self._raw)
                    self.errors.append(f"{where}.{role}: there is no run {name!r}; {hint}")
            pairs.append(pair)
        if sum(pair.primary for pair in pairs) > 1:
            self.errors.append("compare: several pairs are primary; a claim is made about one")
        said = {frozenset((pair.baseline, pair.candidate)) for pair in pairs}
        pairs += [
            Pair(other, name)
            for name, other in self._likes.items()
            if frozenset((name, other)) not in said
        ]
        return sorted(pairs, key=lambda pair: not pair.primary)

    def config(self, *names: str) -> dict[str, Any]:
        """The keys of ``base`` and of these runs, merged; those of the last one win.

        Sections are merged key by key. A run that names another class (``optim``, ``encoder``)
        begins with none of the options of the former one (``optim_conf``, ``encoder_conf``).

        Raises:
            UserError: if there is no such run, or the values cannot be merged.
        """
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        for name in names:
            if name not in self._raw:
                hint = did_you_mean(name, self._raw)
                raise UserError(f"there is no run {name!r}; {hint}", self.layers.place)
        merged = OmegaConf.create({})
        layers = [self._raw[one].get("set", {}) for name in names for one in self._ancestors(name)]
        try:
            for layer in (self._base, *layers):
                for key, value in layer.items():
                    if f"{key}_conf" in merged and key in merged and merged[key] != value:
                        del merged[f"{key}_conf"]  # the options of another class
                merged.merge_with(OmegaConf.create(layer))
            values = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
        except (OmegaConfBaseException, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"cannot be merged: {reason}", f"runs.{names[-1]}.set") from error
        assert isinstance(values, dict)
        return {str(key): value for key, value in values.items()}

    def upstream(self, name: str, first_pretraining: str | None) -> tuple[str, str] | None:
        """The run and the rule that a run goes on from; the first pretraining that was asked for
        takes the place of the preset's own."""
        if name not in self._after:
            return None
        other, rule = self._after[name]
        if first_pretraining and self.entry.pretrainings[:1] == (other,):
            other = first_pretraining
        return other, rule
