"""A user's file of equivalent spellings and of words to ignore, such as hesitations.

.. code-block:: yaml

    en:
      equivalent:               # each list: the first one stands for all
        - [going to, gonna]
        - [okay, ok, o k]
      ignore: [uh, um]          # words and phrases
    all:                        # of every language
      ignore: ["[noise]", "<unk>"]   # marks, in brackets: taken out of the text as it is written

Like NIST's global mapping files, it is applied to references and hypotheses alike. Marks are taken
out first; then the text is normalised, and so are the entries. Whole words are matched (single
characters of scripts without spaces), the longest entry first, from left to right and once: what
an entry has put there is not looked at again.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.data.languages import canonical_language
from espnet_otreg.data.mark_rules import BRACKETS
from espnet_otreg.data.symbols import uncertain_reading
from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.scoring.mixed import join_mixed, split_mixed
from espnet_otreg.scoring.normalize import normalize

ALL = "all"
_KEYS = ("equivalent", "ignore")
_EXAMPLE = "for instance [going to, gonna]"
_PAIRS = {**BRACKETS, **dict(zip("［（｛＜", "］）｝＞", strict=True))}
_BRACKETS = {*_PAIRS, *_PAIRS.values()}
_MARK = re.compile("|".join(f"\\{o}[^\\{o}\\{c}]+\\{c}" for o, c in _PAIRS.items()))


@dataclass(frozen=True)
class Entry:
    """One spelling of the file: what it becomes (itself, another, or nothing), and its line."""

    written: str
    becomes: str
    line: int


@dataclass
class Rules:
    """The entries of one language, normalised.

    Attributes:
        units: units of a spelling -> those it becomes and, if that changes it, its entry.
        marks: marks as they are written, folded in case -> their entry.
    """

    language: str
    scheme: str
    units: dict[tuple[str, ...], tuple[list[str], str | None]] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)

    def __call__(self, text: str) -> tuple[str, Counter[str]]:
        """A text as it is written -> normalised and with the entries applied, and their counts.

        >>> rules = Rules("en", "otreg-basic-v2", {("gonna",): (["going", "to"], "gonna")})
        >>> rules("I'm GONNA go.")
        ("i'm going to go", Counter({'gonna': 1}))
        """
        used: Counter[str] = Counter()

        def take_out(match: re.Match[str]) -> str:
            entry = self.marks.get(match.group().casefold())
            if entry is None:
                return match.group()
            used[entry] += 1
            return " "

        if self.marks:
            text = _MARK.sub(take_out, text)
        text = normalize(text, self.language, self.scheme)
        before = split_mixed(text, self.language)
        longest = max(map(len, self.units), default=0)
        after: list[str] = []
        place = 0
        while place < len(before):
            for length in range(min(longest, len(before) - place), 0, -1):
                if found := self.units.get(tuple(before[place : place + length])):
                    becomes, entry = found
                    after += becomes
                    used.update([entry] if entry is not None else [])
                    place += length
                    break
            else:
                after.append(before[place])
                place += 1
        return (join_mixed(after) if after != before else text), used


@dataclass(frozen=True)
class Equivalences:
    """A file's name, the sha256 of its content, and its entries by language."""

    file: str
    sha256: str
    entries: Mapping[str, list[Entry]]

    def rules(self, language: str, scheme: str) -> Rules:
        """The rules of a language: its own and those of ``all``.

        Raises:
            ConfigErrors: if entries contradict one another once they are normalised.
        """
        errors: list[str] = []
        rules = compile_rules(self.entries, language, scheme, errors)
        if errors:
            raise ConfigErrors(errors, self.file)
        return rules


def _lost(written: str, units: Sequence[str]) -> str:
    """The first bracket or sign with a name that normalising takes out of an entry, or nothing.

    >>> _lost("C++", ["c"]), _lost("[noise", ["noise"]), _lost("o'k.", ["o'k"])
    ('+', '[', '')
    """
    kept = "".join(units)
    for character in written:
        is_sign = unicodedata.category(character)[0] in "SP" and uncertain_reading(character)
        if (is_sign or character in _BRACKETS) and character not in kept:
            return character
    return ""


def compile_rules(
    entries: Mapping[str, list[Entry]], language: str, scheme: str, errors: list[str]
) -> Rules:
    """Normalise the entries of a language and of ``all``; ``errors`` gets what is wrong.

    >>> errors = []
    >>> rules = compile_rules({"all": [Entry("...", "", 3)]}, "en", "otreg-basic-v2", errors)
    >>> errors
    ["line 3: '...' has no word once normalised; write a word, or a mark in brackets"]
    """
    base = canonical_language(language)
    rules, lines = Rules(language, scheme), dict[tuple[str, ...], int]()

    def units(text: str) -> tuple[str, ...]:
        return tuple(split_mixed(normalize(text, language, scheme), language))

    for entry in [e for name in dict.fromkeys((base, ALL)) for e in entries.get(name, [])]:
        is_mark = _MARK.fullmatch(entry.written) is not None
        key = (entry.written.casefold(),) if is_mark else units(entry.written)
        where = f"line {entry.line}: '{entry.written}'"
        if is_mark and entry.becomes:
            errors.append(f"{where} is a mark in brackets; put it under ignore")
        elif not key:
            errors.append(
                f"{where} has no word once normalised; write a word, or a mark in brackets"
            )
        elif not is_mark and (lost := _lost(entry.written, key)):
            errors.append(
                f"{where} would be read as '{' '.join(key)}', because {lost} is taken out of every "
                "text before; " + ("write the whole mark" if lost in _BRACKETS else "remove it")
            )
        elif key in lines:
            same = f"the same as on line {lines[key]} once normalised"
            errors.append(f"{where} is {same}; keep one of them")
        elif is_mark:
            rules.marks[key[0]] = entry.written
        else:
            becomes = units(entry.becomes)
            rules.units[key] = (list(becomes), None if becomes == key else entry.written)
        lines.setdefault(key, entry.line)
    return rules


def read_equivalences(path: str | Path, scheme: str) -> Equivalences:
    """Read and check a file.

    Args:
        path: YAML; see the head of this file.
        scheme: the normaliser of the score.

    Raises:
        UserError: if it is no UTF-8 or no YAML, naming the line.
        ConfigErrors: with every fault, naming the lines.
    """
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError("not UTF-8", f"{path}:{line}", "save the file as UTF-8") from error
    errors: list[str] = []
    entries = _parse(text, str(path), errors)
    for language in entries:
        compile_rules(entries, language, scheme, errors)
    if errors:
        raise ConfigErrors(sorted(set(errors), key=_place), str(path))
    return Equivalences(Path(path).name, hashlib.sha256(content).hexdigest(), entries)


def _parse(text: str, path: str, errors: list[str]) -> dict[str, list[Entry]]:
    """The entries by language, as they are written: YAML's ``no`` is the word no."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "not YAML"
        place = f"{path}:{mark.line + 1}" if mark else path
        raise UserError(f"not valid YAML ({reason})", place, "correct it") from error
    entries: dict[str, list[Entry]] = {}
    if not isinstance(root, yaml.MappingNode) or not root.value:
        errors.append(f"line 1: expected languages (or {ALL}) with {' and '.join(_KEYS)} below")
        return entries
    for name, section in root.value:
        line = _line(name)
        language = _language(name)
        if language is None:
            errors.append(f"line {line}: expected a language code or {ALL}, found {_shown(name)}")
        elif language in entries:
            errors.append(f"line {line}: '{language}' comes twice; put its lists together")
        elif not isinstance(section, yaml.MappingNode):
            errors.append(f"line {line}: expected {' and '.join(_KEYS)} below '{language}'")
        else:
            entries[language] = _section(section, errors)
    return entries


def _language(node: Any) -> str | None:
    name = node.value if isinstance(node.value, str) else ""
    if name == ALL:
        return ALL
    try:
        return canonical_language(name)
    except UserError:
        return None


def _section(section: Any, errors: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    seen: set[str] = set()
    for key, value in section.value:
        line, name = _line(key), _shown(key)
        if key.value not in _KEYS:
            hint = did_you_mean(name, _KEYS)
            errors.append(f"line {line}: unknown key {name}; {hint}")
        elif key.value in seen:
            errors.append(f"line {line}: {name} comes twice; put its lists together")
        elif not isinstance(value.value, list) or value.id != "sequence":
            errors.append(f"line {line}: expected a list below {name}")
        elif key.value == "ignore":
            entries += [Entry(w, "", n) for w, n in _spellings(value, errors)]
        else:
            for group in value.value:
                entries += _group(group, errors)
        seen.add(str(key.value))
    return entries


def _group(group: Any, errors: list[str]) -> list[Entry]:
    spellings = _spellings(group, errors) if group.id == "sequence" else []
    if group.id != "sequence" or len(group.value) < 2:
        errors.append(f"line {_line(group)}: expected a list of two or more, {_EXAMPLE}")
        return []
    return [Entry(written, spellings[0][0], line) for written, line in spellings]


def _spellings(sequence: Any, errors: list[str]) -> list[tuple[str, int]]:
    found = []
    for node in sequence.value:
        if node.id == "scalar" and node.value.strip():
            found.append((node.value.strip(), _line(node)))
        else:
            errors.append(f"line {_line(node)}: expected a word or phrase, found {_shown(node)}")
    return found


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _shown(node: Any) -> str:
    return f"'{node.value}'" if node.id == "scalar" else f"a {node.id}"


def _place(error: str) -> tuple[int, str]:
    """The line that an error begins with, to sort by."""
    return int(error.split(":")[0].removeprefix("line ")), error
