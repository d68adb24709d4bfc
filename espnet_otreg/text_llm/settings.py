"""What decides the mini LLM: sizes, text and noise; importing this loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from espnet_otreg.config import not_negative, parse_config
from espnet_otreg.data.languages import canonical_language, describe_language
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.files import read_yaml


@dataclass(frozen=True)
class TextLLMSettings:
    """Sizes of the tokenizer and the LLM, and how long it reads what.

    Attributes:
        vocabulary_size: pieces; few, so that CTC sees each of them often.
        hidden_size, layers, heads: of the Llama layout.
        languages: each gets a reserved token.
        positions: embeddings read in all, the length of the training.
        batch_positions: embeddings in one step, about.
        learning_rate: its maximum; it rises for 100 steps and falls as a cosine.
        max_words: longer sentences are left out.
        sentences_per_language: of the free text.
        transcript_repeats: how often the training transcripts are read beside it.
        plain_share: share of the sentences that are read without any source (language model).
        random_copy_share: share of random token sequences to copy, at the beginning.
        misspelling: share of characters that are changed, on average.
        errors: share of tokens that the simulated read-out gets wrong, on average.
        sampled_share: share of the sources that are cut into pieces in an unusual way.
        gaussian: standard deviation of the noise, relative to the embedding's norm.
        held_out: sentences of each language that are not trained on; how well the LLM reads them
            is printed.
        precision: of products; ``auto`` measures which is faster.
    """

    vocabulary_size: int = 300
    hidden_size: int = 256
    layers: int = 4
    heads: int = 4
    languages: tuple[str, ...] = ("en", "es", "fr", "it", "ru")
    positions: int = 1_000_000
    batch_positions: int = 700
    learning_rate: float = 2e-3
    max_words: int = 14
    sentences_per_language: int = 24000
    transcript_repeats: int = 3
    plain_share: float = 0.15
    random_copy_share: float = 0.3
    misspelling: float = 0.08
    errors: float = 0.15
    sampled_share: float = 0.5
    gaussian: float = 0.3
    held_out: int = 30
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        whole = ("vocabulary_size", "hidden_size", "layers", "heads", "positions",
                 "batch_positions", "max_words", "sentences_per_language")  # fmt: skip
        errors = [
            f"{name}: must be positive, found {getattr(self, name)}"
            for name in (*whole, "learning_rate")
            if getattr(self, name) <= 0
        ]
        for name in ("plain_share", "random_copy_share", "misspelling", "errors", "sampled_share"):
            if not 0 <= getattr(self, name) <= 1:
                errors.append(f"{name}: must be in [0, 1], found {getattr(self, name)}")
        errors += not_negative(gaussian=self.gaussian, held_out=self.held_out)
        if self.heads > 0 and self.hidden_size % self.heads:
            errors.append(f"hidden_size: {self.hidden_size} is no multiple of {self.heads} heads")
        try:
            codes = [canonical_language(name) for name in self.languages]
        except UserError as error:
            return [*errors, f"languages: {error}"]
        twice = sorted({code for code in codes if codes.count(code) > 1})
        return errors + [f"languages: {describe_language(code)} comes twice" for code in twice]


@dataclass(frozen=True)
class Sentence:
    """One line of text and its language."""

    text: str
    language: str = field(compare=True)


def read_settings(path: Path | None) -> TextLLMSettings:
    """Settings from a YAML file, or the defaults.

    Raises:
        ConfigErrors: with every mistake at once.

    >>> read_settings(None).vocabulary_size
    300
    """
    if path is None:
        return TextLLMSettings()
    errors: list[str] = []
    settings = parse_config(TextLLMSettings, read_yaml(path), "llm", errors)
    if settings is None:
        raise ConfigErrors(errors, str(path))
    return replace(settings, languages=tuple(map(canonical_language, settings.languages)))


def check_languages(languages: Iterable[str], settings: TextLLMSettings) -> None:
    """Make sure that the LLM will know every language of the transcripts.

    Raises:
        UserError: if it will not, or if there is none.

    >>> check_languages(["it", "it"], TextLLMSettings())
    """
    found = set(languages)
    unknown = sorted(found - set(settings.languages))
    if not found or unknown:
        raise UserError(
            f"languages without a token: {' '.join(unknown)}" if found else "no transcripts",
            "the small LLM of stage 5",
            "add them to 'languages' in conf/PRESET/llm.yaml, or name another LLM with --llm",
        )
