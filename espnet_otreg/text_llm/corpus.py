"""Normalised sentences in several languages, without any that a test set holds."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write
from espnet_otreg.scoring.normalize import normalize
from espnet_otreg.text_llm.sources import read_sentences
from espnet_otreg.utf8 import read_utf8

SCRIPTS = {"ru": "CYRILLIC", "uk": "CYRILLIC", "bg": "CYRILLIC", "el": "GREEK"}
MAX_WORDS = 24
MIN_LETTERS = 2


@dataclass
class TextCorpus:
    """Sentences by language, and how many were left out for which reason."""

    sentences: dict[str, list[str]]
    dropped: dict[str, int] = field(default_factory=dict)


def _reason_to_drop(sentence: str, language: str, excluded: Collection[str]) -> str | None:
    words = sentence.split()
    letters = [c for c in sentence if c.isalpha()]
    script = SCRIPTS.get(language, "LATIN")
    if len(letters) < MIN_LETTERS:
        return "too short"
    if len(words) > MAX_WORDS or max(map(len, words)) > 30:
        return "too long"
    if any(c.isnumeric() for c in sentence):
        return "has digits"
    if any(script not in unicodedata.name(c, "") for c in letters):
        return "other script"
    return "in a test set" if sentence in excluded else None


def collect_text(
    packages: Iterable[Path], languages: Sequence[str], excluded: Mapping[str, Collection[str]]
) -> TextCorpus:
    """Read unpacked packages into distinct normalised sentences, in reading order.

    A sentence that stands under two languages was not translated: it stays under the first of
    ``languages`` only (let that be English).

    Args:
        packages: directories of unpacked packages.
        languages: ISO-639-1 codes.
        excluded: per language, the normalised transcripts of everything that is not training.
    """
    found: dict[str, dict[str, None]] = {language: {} for language in languages}
    corpus = TextCorpus({})

    def drop(reason: str) -> None:
        corpus.dropped[reason] = corpus.dropped.get(reason, 0) + 1

    for package in packages:
        for language, raw in read_sentences(package, languages):
            sentence = normalize(raw, language)
            reason = _reason_to_drop(sentence, language, excluded.get(language, ()))
            if reason or sentence in found[language]:
                drop(reason or "repeated")
            else:
                found[language][sentence] = None
    seen: set[str] = set()
    for language in languages:
        corpus.sentences[language] = [s for s in found[language] if s not in seen]
        for _ in range(len(found[language]) - len(corpus.sentences[language])):
            drop("not translated")
        seen.update(found[language])
    return corpus


def write_corpus(corpus: TextCorpus, directory: Path) -> None:
    """Write ``<directory>/<language>.txt``, one sentence a line."""
    for language, sentences in corpus.sentences.items():
        with atomic_write(directory / f"{language}.txt") as file:
            file.writelines(sentence + "\n" for sentence in sentences)


def read_corpus(directory: Path, languages: Sequence[str]) -> dict[str, list[str]]:
    """Read what :func:`write_corpus` wrote.

    Raises:
        UserError: if the text of a language is missing or empty.
    """
    sentences: dict[str, list[str]] = {}
    for language in languages:
        path = directory / f"{language}.txt"
        if not path.is_file() or not path.stat().st_size:
            raise UserError("no text to train on", str(path), "run local/text.sh again")
        sentences[language] = read_utf8(path).splitlines()
    return sentences
