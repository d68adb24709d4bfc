"""Kaldi data directories: one table per file, one line per key, sorted as LC_ALL=C sorts."""

from __future__ import annotations

import codecs
import dataclasses
import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write, replace_directory
from espnet_otreg.utf8 import not_utf8, other_encoding, visible


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording with its transcript.

    ``text`` is normalised (``espnet_otreg.scoring.normalize``), ``raw_text`` is the publisher's.
    """

    utterance_id: str
    wav: str
    text: str
    raw_text: str
    language: str
    speaker: str
    domain: str


# File of the data directory -> field of Utterance.
TABLES = {
    "wav.scp": "wav",
    "text": "text",
    "text.raw": "raw_text",
    "utt2lang": "language",
    "utt2spk": "speaker",
    "utt2domain": "domain",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a table with its number, counted from 1."""

    line: int
    key: str
    value: str


def _form_fault(key: str, value: str) -> str:
    """What is wrong with one line's form; empty if nothing is."""
    if not key or any(character.isspace() for character in key):
        # At a tab or a no-break space ESPnet ends the id, and the eye does too.
        found = f", found '{visible(key)}'" if key else ""
        return f"expected a key, one space and a value{found}; write one ordinary space"
    is_plain = key.isascii() and key.isprintable()  # of a million keys, nearly all
    if not is_plain and any(unicodedata.category(character)[0] in "ZC" for character in key):
        return f"the id '{visible(key)}' holds an invisible character; remove it"
    if "\r" in value or "\0" in value:
        return "a carriage return or a zero byte inside the line; save the file as plain text"
    return ""


def scan_table(path: str | Path) -> tuple[list[Row], list[str]]:
    """The rows of a table and one sentence for every fault of its form.

    Faults are: no key, a key that comes twice, a key out of order, an invisible character
    in the key or behind it, bytes that are not UTF-8. A byte order mark is no fault.

    Raises:
        OSError: if the file cannot be read.
    """
    path = Path(path)
    content = path.read_bytes()
    encoding = other_encoding(content)
    if encoding is not None and encoding.startswith("UTF"):
        return [], [str(not_utf8(content, str(path)))]
    rows: list[Row] = []
    errors: list[str] = []
    lines: dict[str, int] = {}
    unsorted = False
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            key, _, value = line.decode("utf-8").rstrip("\r").partition(" ")
        except UnicodeDecodeError:
            errors.append(str(not_utf8(line, f"{path}:{number}")))
            continue
        if fault := _form_fault(key, value):
            errors.append(f"{path}:{number}: {fault}")
            continue
        if key in lines:
            errors.append(
                f"{path}:{number}: duplicate id '{key}' (first on line {lines[key]}); "
                "remove one of the two lines"
            )
        elif rows and key < rows[-1].key and not unsorted:
            unsorted = True  # one sentence for the file is enough
            errors.append(
                f"{path}:{number}: not sorted ('{visible(key)}' after '{visible(rows[-1].key)}'); "
                f"sort it: LC_ALL=C sort -o {path} {path}"
            )
        lines.setdefault(key, number)
        rows.append(Row(number, key, value.strip()))
    return rows, errors


def set_name(directory: str | Path) -> str:
    """What a data directory is called: the last component of its path, of a link the link's own.

    A path that ends in ``.`` or ``..`` has the name of the directory that it leads to.

    >>> set_name("data/test"), set_name("data/test/."), set_name("../ood/"), set_name("/")
    ('test', 'test', 'ood', 'root')
    """
    path = Path(directory)
    if path.name not in ("", ".."):
        return path.name
    logical = os.environ.get("PWD", "")  # the way that the user has come, links included
    if path == Path() and os.path.exists(logical) and os.path.samefile(logical, "."):
        return Path(logical).name or "root"
    return path.resolve().name or "root"


def own_domain(directory: str | Path) -> str:
    """The domain of a directory without ``utt2domain``: its name, in the letters of a domain.

    >>> own_domain("data/My test"), own_domain("data/prova_è")
    ('My_test', 'prova_u00e8')
    """

    def fold(character: str) -> str:
        if character.isascii():
            return character if character.isalnum() else "_"
        return f"u{ord(character):04x}" if character.isalnum() else "_"

    return "".join(map(fold, set_name(directory)))


def read_table(path: str | Path) -> dict[str, str]:
    """A table as a dictionary.

    Raises:
        UserError: if its form is wrong, naming file and line.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/text"
    >>> write_table(path, {"b": "two words", "a": "one"})
    >>> read_table(path)
    {'a': 'one', 'b': 'two words'}
    """
    rows, errors = scan_table(path)
    if errors:
        raise UserError(errors[0])
    return {row.key: row.value for row in rows}


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Write a table sorted by key (code points, which is the order of LC_ALL=C)."""
    with atomic_write(path) as file:
        file.writelines(f"{key} {table[key]}\n" for key in sorted(table))


def read_data_dir(directory: str | Path) -> list[Utterance]:
    """The utterances of a data directory written by :func:`write_data_dir`, sorted by id.

    Raises:
        UserError: if a table is missing, malformed or has other keys than wav.scp, or if
            utterances are parts of recordings.
    """
    directory = Path(directory)
    if (directory / "segments").is_file():
        raise UserError(
            "utterances are parts of recordings here (segments)",
            str(directory),
            "cut them with format_data first",
        )
    tables = {name: read_table(directory / name) for name in TABLES}
    keys = tables["wav.scp"].keys()
    for name, table in tables.items():
        if table.keys() != keys:
            odd = min(table.keys() ^ keys)
            raise UserError(
                f"'{odd}' is in only one of wav.scp and {name}", str(directory), "make it again"
            )
    return [
        Utterance(key, **{TABLES[name]: table[key] for name, table in tables.items()})
        for key in sorted(keys)
    ]


def write_spk2utt(directory: str | Path, speakers: Mapping[str, str]) -> None:
    """Write utt2spk and its inverse spk2utt."""
    utterances: dict[str, list[str]] = {}
    for key in sorted(speakers):
        utterances.setdefault(speakers[key], []).append(key)
    write_table(Path(directory) / "utt2spk", speakers)
    write_table(Path(directory) / "spk2utt", {s: " ".join(u) for s, u in utterances.items()})


def write_tables(directory: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write the tables of :data:`TABLES` and spk2utt into a directory that exists."""
    directory = Path(directory)
    listed = {utterance.utterance_id: utterance for utterance in utterances}
    for name, field in TABLES.items():
        write_table(directory / name, {key: getattr(u, field) for key, u in listed.items()})
    write_spk2utt(directory, {key: u.speaker for key, u in listed.items()})


def write_data_dir(directory: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a whole data directory in place of what may be there.

    Raises:
        UserError: if there is no utterance at all.
    """
    listed = list(utterances)
    if not listed:
        raise UserError("no utterance is left", str(directory), "look at prep_log.json")
    with replace_directory(directory) as fresh:
        write_tables(fresh, listed)
