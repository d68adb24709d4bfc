"""``synthesis.yaml``: who reads how much of which language, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet_otreg.config import did_you_mean, not_negative, parse_config, positive, probability
from espnet_otreg.data.synthesis.catalogue import (
    ENGINES,
    ESPEAK_VARIANTS,
    VOICES,
    voice_errors,
    voices_of,
)
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.files import read_yaml

_SPEEDS, _PITCHES = (0.5, 2.0), (0.5, 1.9)  # what all engines can


@dataclass(frozen=True)
class ReadersEntry:
    """Voices of one engine that read one language.

    Attributes:
        engine: as the catalogue names it.
        voices: names; none stands for all that the engine has for the language.
        variants: of eSpeak's voices, drawn as often as the voice itself.
        share: of the language's sentences, relative to the other entries; the voices share equally.
    """

    engine: str
    voices: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    share: float = 1.0

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = positive(share=self.share)
        if self.engine not in ENGINES:
            hint = did_you_mean(self.engine, ENGINES)
            return [*errors, f"engine: no engine {self.engine!r}; {hint}"]
        if self.variants and self.engine != "espeak":
            errors.append(f"variants: {self.engine} has none, they are eSpeak's")
        errors += [
            f"variants: no variant {name!r}; {did_you_mean(name, ESPEAK_VARIANTS)}"
            for name in self.variants
            if name not in ESPEAK_VARIANTS
        ]
        return errors

    def names(self, language: str) -> tuple[str, ...]:
        """The voices of a language, those with a variant behind those without."""
        names = self.voices or tuple(voice.name for voice in voices_of(self.engine, language))
        return (*names, *(f"{name}+{variant}" for name in names for variant in self.variants))


@dataclass(frozen=True)
class LanguageEntry:
    """How much of a language is read, and by whom; either ``hours`` or ``sentences``."""

    readers: tuple[Any, ...]
    hours: float | None = None
    sentences: int | None = None

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        given = {"hours": self.hours, "sentences": self.sentences}
        amounts = {name: value for name, value in given.items() if value is not None}
        errors = positive(**amounts)
        if len(amounts) != 1:
            errors.append("hours: give either hours or sentences")
        if not self.readers:
            errors.append("readers: none")
        return errors


@dataclass(frozen=True)
class SynthesisEntry:
    """``synthesis.yaml`` as a whole.

    Attributes:
        languages: code -> :class:`LanguageEntry`.
        speed, pitch: lowest and highest factor of the voice's own, drawn for each utterance.
        pauses: probability that a sentence of more than three words is read with a pause in it.
        max_words, max_characters: longer sentences are left out.
        readings: how often a sentence may be read, by another draw of voice, speed and pitch,
            where a language has not enough sentences.
        seed: of all draws.
        accept_licence: you have read and accept the terms of the restricted voices named here.
    """

    languages: dict[str, Any]
    speed: tuple[float, float] = (0.8, 1.3)
    pitch: tuple[float, float] = (0.8, 1.25)
    pauses: float = 0.3
    max_words: int = 12
    max_characters: int = 80
    readings: int = 1
    seed: int = 0
    accept_licence: bool = False

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = positive(
            max_words=self.max_words, max_characters=self.max_characters, readings=self.readings
        )
        errors += probability(pauses=self.pauses) + not_negative(seed=self.seed)
        for name, (low, high) in (("speed", _SPEEDS), ("pitch", _PITCHES)):
            least, most = getattr(self, name)
            if not low <= least <= most <= high:
                errors.append(
                    f"{name}: expected [LOWEST, HIGHEST] within {low} to {high}, "
                    f"found [{least}, {most}]"
                )
        if not self.languages:
            errors.append("languages: none")
        return errors


@dataclass(frozen=True)
class Readers:
    """Checked voices of one engine for one language, with their share."""

    engine: str
    voices: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class LanguagePlan:
    """How much of a language is read, and by whom."""

    readers: tuple[Readers, ...]
    hours: float | None
    sentences: int | None


@dataclass(frozen=True)
class SynthesisConfig:
    """What ``synthesis.yaml`` says, checked.

    Attributes:
        entry: its keys.
        languages: code -> who reads how much.
    """

    entry: SynthesisEntry
    languages: Mapping[str, LanguagePlan]

    def voices(self) -> list[tuple[str, str]]:
        """All (engine, voice) that may be drawn."""
        return [
            (readers.engine, name)
            for plan in self.languages.values()
            for readers in plan.readers
            for name in readers.voices
        ]


def _readers(
    values: Any, language: str, accepted: bool, where: str, errors: list[str]
) -> Readers | None:
    found = len(errors)
    entry = parse_config(ReadersEntry, values, where, errors)
    if entry is None:
        return None
    errors += [f"{where}.voices: {e}" for e in voice_errors(entry.engine, entry.voices, language)]
    if not entry.voices and not voices_of(entry.engine, language):
        speakers = sorted({v.engine for v in VOICES.values() if v.language == language})
        hint = f"those that do: {', '.join(speakers) or 'none'}"
        errors.append(f"{where}.engine: {entry.engine} does not speak {language}; {hint}")
    if len(errors) > found:
        return None
    names = entry.names(language)
    if not accepted and VOICES[entry.engine, names[0].partition("+")[0]].restricted:
        errors.append(
            f"{where}.engine: the terms of {entry.engine}'s voices are not free; read them and "
            "set accept_licence: true (or --accept_licence), or take the entry out"
        )
    return Readers(entry.engine, names, entry.share)


def parse_synthesis(
    values: Mapping[str, Any], errors: list[str], accept_licence: bool = False
) -> SynthesisConfig | None:
    """Check the keys of a ``synthesis.yaml``, adding every mistake to ``errors``.

    Args:
        values: what YAML gave.
        errors: is extended; None is returned if anything was added.
        accept_licence: that the user has accepted the terms of restricted voices.

    >>> errors = []
    >>> readers = [{"engine": "pico", "voices": ["it_IT"]}, {"engine": "flyte"}]
    >>> parse_synthesis({"languages": {"it": {"readers": readers, "hours": 1.0}}}, errors)
    >>> for error in errors: print(error)
    languages.it.readers.0.voices: no voice 'it_IT' of pico for it; did you mean 'it-IT'?
    languages.it.readers.1.engine: no engine 'flyte'; did you mean 'flite'?
    """
    found = len(errors)
    entry = parse_config(SynthesisEntry, values, "synthesis", errors)
    languages = values.get("languages", {}) if isinstance(values, Mapping) else {}
    accepted = accept_licence or bool(entry and entry.accept_licence)
    plans = {}
    for language, inner in languages.items() if isinstance(languages, Mapping) else ():
        where = f"languages.{language}"
        spoken = {voice.language for voice in VOICES.values()}
        if language not in spoken:
            errors.append(f"{where}: no voice speaks it; {did_you_mean(str(language), spoken)}")
            continue
        parsed = parse_config(LanguageEntry, inner, where, errors)
        if parsed is None:
            continue
        readers = [
            _readers(one, language, accepted, f"{where}.readers.{number}", errors)
            for number, one in enumerate(parsed.readers)
        ]
        checked = tuple(one for one in readers if one is not None)
        plans[language] = LanguagePlan(checked, parsed.hours, parsed.sentences)
    if entry is None or len(errors) > found:
        return None
    return SynthesisConfig(entry, plans)


def synthesis_errors(path: Path, accept_licence: bool = False) -> list[str]:
    """All mistakes of a ``synthesis.yaml``, with its name.

    Args:
        path: of the file.
        accept_licence: that the user has accepted the terms of restricted voices.
    """
    try:
        read_synthesis(path, accept_licence)
    except ConfigErrors as errors:
        return [f"{path.name}: {error}" for error in errors.errors]
    except UserError as error:
        return [str(error)]
    return []


def read_synthesis(path: str | Path, accept_licence: bool = False) -> SynthesisConfig:
    """Read and check a ``synthesis.yaml``.

    Args:
        path: of the file.
        accept_licence: that the user has accepted the terms of restricted voices.

    Raises:
        ConfigErrors: with all mistakes.
        UserError: if the file is missing or no YAML.
    """
    errors: list[str] = []
    config = parse_synthesis(read_yaml(path), errors, accept_licence)
    if config is None:
        raise ConfigErrors(errors, str(path))
    return config


def check_not_tested(config: SynthesisConfig, tested: Mapping[tuple[str, str], str]) -> None:
    """Refuse voices that read a test set: their speech would be no evidence.

    Args:
        config: what shall be made.
        tested: (engine, voice without variant) -> the set that it reads.

    Raises:
        UserError: naming engine, voice and set.
    """
    both = {
        f"{engine} {base}, which reads {tested[engine, base]}"
        for engine, name in config.voices()
        if (engine, base := name.partition("+")[0]) in tested
    }
    if both:
        raise UserError(
            f"a voice of a test set must not train: {'; '.join(sorted(both))}",
            "synthesis",
            "take other voices for that language, or leave the set out",
        )
