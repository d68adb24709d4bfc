"""Which languages a model was trained for, and what a user may therefore ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.data.languages import (
    AUTO,
    DEFAULT,
    canonical_language,
    describe_language,
    describe_languages,
    language_or_default,
    same_language,
)
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, read_yaml, write_json

RECORD = "languages.json"  # beside config.yaml


@dataclass(frozen=True)
class TrainedLanguages:
    """What a model knows.

    Attributes:
        languages: canonical codes.
        any_language: whether the prompt ``default`` was trained without languages: it serves all.
        templates: the canonical codes that have a prompt of their own.
    """

    languages: frozenset[str]
    any_language: bool = False
    templates: frozenset[str] = frozenset()

    def check(self, language: str) -> str:
        """The canonical code of a language that the model was trained for.

        Raises:
            UserError: if it is none, or the model was not trained for it, listing what it knows.

        >>> TrainedLanguages(frozenset({"en", "it"})).check("ITA")
        'it'
        """
        code = canonical_language(language)
        if code in self.languages or self.any_language:
            return code
        raise UserError(
            f"this model was not trained for {describe_language(code)}",
            "",
            f"it knows {describe_languages(self.languages)}",
        )

    def check_identified(self, language: str, probability: float) -> str:
        """The model's own code of a language that was identified in a recording.

        Args:
            language: canonical code; ``no`` stands for a model's ``nb``, which Whisper calls so.
            probability: of that language, for the message.

        Raises:
            UserError: if the model was not trained for it, listing what it knows.

        >>> TrainedLanguages(frozenset({"en", "nb"})).check_identified("no", 0.9)
        'nb'
        """
        own = language if self.any_language else same_language(language, self.languages)
        if own is not None:
            return own
        raise UserError(
            f"this sounds like {describe_language(language)}, with probability {probability:.2f}, "
            "and the model was not trained for it",
            "",
            f"it knows {describe_languages(self.languages)}: give the one that is spoken",
        )

    def prompt_of(self, language: str) -> str:
        """The template that the model was trained with for a language.

        Args:
            language: as in :meth:`check`, or ``default`` where nobody named one.

        Raises:
            UserError: as :meth:`check` and :meth:`only`.

        >>> TrainedLanguages(frozenset({"en", "de"}), templates=frozenset({"en"})).prompt_of("de")
        'default'
        """
        code = self.only() if language == DEFAULT else self.check(language)
        # Of a model that was trained without languages only the default prompt was trained.
        return code if code in self.languages & self.templates else DEFAULT

    def only(self) -> str:
        """The language where nobody says which: the model's only one, or ``default`` where the
        prompt is the same for all that it knows.

        Raises:
            UserError: if its prompt depends on the language.

        >>> TrainedLanguages(frozenset({"it"}), templates=frozenset({"it"})).only()
        'it'
        >>> TrainedLanguages(frozenset({"en", "it"})).only()
        'default'
        """
        if len(self.languages) == 1 and not self.any_language:
            return next(iter(self.languages))
        if self.any_language or not self.languages & self.templates:
            return DEFAULT
        raise UserError(
            "nobody says which language is spoken, and this model's prompt depends on it",
            "",
            f"name it; the model knows {describe_languages(self.languages)}",
        )


ANY_LANGUAGE = TrainedLanguages(frozenset(), any_language=True)  # one prompt, for all


def read_trained_languages(
    directory: str | Path, templates: Iterable[str] | None = None
) -> TrainedLanguages:
    """What the model of a training or packed directory knows, without loading the model.

    A model that was trained before languages were recorded knows those that have a template, or
    any language if it has the template ``default`` alone.

    Args:
        directory: has config.yaml and mostly languages.json.
        templates: those of its prompts, ``default`` or languages; read from config.yaml if not
            given.

    Raises:
        UserError: if there is no configuration, or a file is damaged.
    """
    directory = Path(directory)
    if templates is None:
        path = directory / "config.yaml"
        if not path.is_file():
            raise UserError("no config.yaml here", str(directory), "give a training directory")
        templates = (read_yaml(path).get("prompt_conf") or {}).get("templates") or {}
    named = frozenset(map(language_or_default, templates)) - {DEFAULT}
    if not (directory / RECORD).is_file():
        return TrainedLanguages(named, not named, named)
    counts, unnamed = _read_record(directory / RECORD)
    return TrainedLanguages(frozenset(counts), unnamed > 0, named)


def _read_record(path: Path) -> tuple[dict[str, int], int]:
    record = read_json(path)
    try:
        counts = {canonical_language(name): int(n) for name, n in record["utterances"].items()}
        return counts, int(record["without_language"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError("no record of languages", str(path), "train again") from error


def write_trained_languages(
    directory: str | Path, counts: Mapping[str, int], without_language: int, resumed: bool
) -> None:
    """Write ``languages.json``; a training that goes on keeps what it was trained for before.

    Args:
        directory: of the training.
        counts: utterances of each language, by canonical code.
        without_language: utterances of a training that names no languages.
        resumed: whether the training may go on from a checkpoint there.
    """
    path = Path(directory) / RECORD
    if resumed and path.is_file():
        before, unnamed = _read_record(path)
        counts, without_language = {**before, **counts}, without_language or unnamed
    write_json(
        path, {"utterances": dict(sorted(counts.items())), "without_language": without_language}
    )


def resolve_languages(
    trained: TrainedLanguages, languages: str | Sequence[str] | None, count: int
) -> list[str]:
    """One canonical language for each of several recordings.

    Args:
        trained: what the model knows.
        languages: one for all recordings, or one for each; ``auto`` is kept for
            :mod:`~espnet_otreg.inference.language_id`. None asks for the only one.
        count: how many recordings there are.

    Raises:
        UserError: if their number is another one, or one is no language or not the model's.

    >>> knows = TrainedLanguages(frozenset({"en", "it"}))
    >>> resolve_languages(knows, "Italian", 2), resolve_languages(knows, ["EN", "auto"], 2)
    (['it', 'it'], ['en', 'auto'])
    """
    if languages is None:
        return [trained.only()] * count
    if isinstance(languages, str):
        return [_resolve(trained, languages)] * count
    if not isinstance(languages, Sequence):
        return [canonical_language(languages)]  # which says what is expected
    if len(languages) != count:
        raise UserError(
            f"{len(languages)} languages for {count} recordings",
            "",
            "give one language for all of them, or one for each",
        )
    return [_resolve(trained, language) for language in languages]


def _resolve(trained: TrainedLanguages, language: str) -> str:
    is_auto = isinstance(language, str) and language.strip().lower() == AUTO
    return AUTO if is_auto else trained.check(language)
