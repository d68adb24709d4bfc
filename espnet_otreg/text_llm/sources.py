"""Readers of text: plain files, and packages of Debian (gettext, fortunes, Mallard help pages).

Each reader is given the directory of one unpacked package and yields ``(language, passage)``.
Nothing here knows a package by name: what a package holds is recognised by its files.
"""

from __future__ import annotations

import gettext
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.scoring.spelling import spell_numbers
from espnet_otreg.utf8 import read_utf8

Passage = tuple[str, str]

_MARKUP = re.compile(r"<[^<>]*>|&[a-z]+;")
_PLACEHOLDER = re.compile(r"[$%{}\\|=_#/@~^]")
# Older Italian sources write e' and perche' for è and perché; po' and imperatives are no accents.
_ITALIAN_ACCENT = re.compile(r"(\w*)([aeiou])'(?!\w)")
_ITALIAN_ELISIONS = {"po", "mo", "di", "fa", "va", "da", "sta", "be", "to", "a", "de", "ne"}
_MALLARD = "{http://projectmallard.org/1.0/}"


def accent_italian(text: str) -> str:
    """Accents for vowels that are followed by an apostrophe instead.

    >>> accent_italian("perche' la citta' e' un po' piu' grande")
    "perché la città è un po' più grande"
    """

    def accent(match: re.Match[str]) -> str:
        stem, vowel = match.groups()
        if (stem + vowel).lower() in _ITALIAN_ELISIONS:
            return match.group(0)
        acute = vowel == "e" and stem.lower().endswith("ch")
        return stem + (vowel + ("\u0301" if acute else "\u0300"))

    return unicodedata.normalize("NFC", _ITALIAN_ACCENT.sub(accent, text))


def read_gettext(directory: Path, languages: Collection[str]) -> Iterator[Passage]:
    """Messages of ``<language>/LC_MESSAGES/*.mo``; the message ids are English.

    Raises:
        UserError: if a catalogue cannot be read.
    """
    for path in sorted(directory.rglob("LC_MESSAGES/*.mo")):
        language = path.parent.parent.name
        if language not in languages:
            continue
        try:
            with open(path, "rb") as file:
                # The catalogue is gettext's only list of its messages.
                catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise UserError(f"not a message catalogue ({error})", str(path)) from error
        for key, translation in catalogue.items():
            source = key[0] if isinstance(key, tuple) else key
            if source and isinstance(translation, str):
                yield language, _MARKUP.sub(" ", translation)
                if "en" in languages:
                    yield "en", _MARKUP.sub(" ", source)


def read_fortunes(directory: Path, languages: Collection[str]) -> Iterator[Passage]:
    """Sayings between lines of one ``%``, without attributions (``-- who``) and offensive ones.

    ``fortunes/es/refranes.fortunes`` is Spanish, a file directly in ``fortunes/`` English.
    """
    for root in sorted(directory.rglob("games/fortunes")):
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            language = inside.parts[0] if len(inside.parts) > 1 else "en"
            # Links repeat a file under a second name; ``off`` holds the offensive ones.
            if path.is_symlink() or not path.is_file() or path.suffix in (".dat", ".u8"):
                continue
            if language not in languages or "off" in inside.parts:
                continue
            text = path.read_text(encoding="utf-8", errors="ignore")
            text = accent_italian(text) if language == "it" else text
            for saying in re.split(r"^%+\s*$", text, flags=re.MULTILINE):
                yield language, re.sub(r"^\s*--.*", "", saying, flags=re.MULTILINE | re.DOTALL)


def read_mallard(directory: Path, languages: Collection[str]) -> Iterator[Passage]:
    """Paragraphs and titles of ``help/<language>/**/*.page``; ``help/C`` is English.

    Raises:
        UserError: if a page is not XML.
    """
    for root in sorted(directory.rglob("share/help")):
        for path in sorted(root.rglob("*.page")):
            folder = path.relative_to(root).parts[0]
            language = "en" if folder == "C" else folder
            if language not in languages:
                continue
            try:
                page = ElementTree.parse(path)
            except ElementTree.ParseError as error:
                raise UserError(f"not a help page ({error})", str(path)) from error
            for element in page.iter():
                if element.tag in (f"{_MALLARD}p", f"{_MALLARD}title", f"{_MALLARD}desc"):
                    yield language, " ".join("".join(element.itertext()).split())


def read_plain(directory: Path, languages: Collection[str]) -> Iterator[Passage]:
    """Lines of ``<language>.txt`` in the directory itself: text of one's own, numbers spelled out.

    Raises:
        UserError: if a file is not UTF-8.
    """
    for language in languages:
        path = directory / f"{language}.txt"
        for line in read_utf8(path).splitlines() if path.is_file() else ():
            yield language, spell_numbers(line, language)


READERS = (read_gettext, read_fortunes, read_mallard, read_plain)


def read_sentences(directory: Path, languages: Collection[str]) -> Iterator[Passage]:
    """Single sentences and lines of one unpacked package, whatever it holds.

    Sentences with programmers' placeholders (``$count``, ``%s``) are left out.
    """
    for reader in READERS:
        for language, passage in reader(directory, languages):
            for sentence in split_sentences(passage):
                yield language, sentence


def split_sentences(passage: str) -> Iterator[str]:
    """Sentences of a passage, at ``.``, ``!``, ``?``, ``;``, ``:`` and empty lines.

    >>> list(split_sentences("Who goes there? A friend.  -- the $leader speaks!"))
    ['Who goes there?', 'A friend.']
    """
    for block in re.split(r"\n\s*\n", passage):
        for sentence in re.split(r"(?<=[.!?;:…])[\s\"'»”)]+", " ".join(block.split())):
            if sentence and not _PLACEHOLDER.search(sentence):
                yield sentence
