"""Check what a training reads before ESPnet is loaded: tables, archives, checkpoints."""

from __future__ import annotations

import codecs
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from espnet_otreg.data.ark import read_description
from espnet_otreg.data.kaldi_dir import Row, scan_table
from espnet_otreg.data.languages import (
    DEFAULT,
    canonical_language,
    describe_languages,
    read_languages,
)
from espnet_otreg.data.segments import SEGMENTS, channel_errors, scan_segments
from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.base import EncoderConfig

_SPEECH_KINDS = ("kaldi_ark", "sound")
_EXAMPLES = {"speech": "feats.scp,speech,kaldi_ark", "text": "text,text,text"}
_SHOWN = 3  # faults of one kind; the rest is counted


@dataclass(frozen=True)
class Source:
    """One ``path,name,type`` of ESPnet's data options."""

    path: Path
    name: str
    kind: str


def _limited(faults: Sequence[str]) -> list[str]:
    more = [f"... and {len(faults) - _SHOWN} more like it"] if len(faults) > _SHOWN else []
    return [*faults[:_SHOWN], *more]


def parse_sources(option: str, values: Sequence[Any], errors: list[str]) -> list[Source]:
    """The sources of one option; what is not ``path,name,type`` is added to ``errors``.

    >>> parse_sources("--train_data", ["dump/text,text,text"], [])
    [Source(path=PosixPath('dump/text'), name='text', kind='text')]
    """
    sources = []
    for value in values:
        words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
        is_list = isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words)
        if is_list and len(words) == 3:
            sources.append(Source(Path(words[0]), words[1], words[2]))
        else:
            errors.append(f"{option}: expected path,name,type, found {value!r}")
    return sources


def table_files(path: Path) -> list[Path]:
    """The table itself, or the parts that ``espnet2.bin.split_scps`` made of it; none if missing.

    Parts are read one after another with ``--multiple_iterator true``.

    >>> table_files(Path("dump/none"))
    []
    """
    if path.is_file():
        return [path]
    return sorted(path.glob("split.*")) if (path / "num_splits").is_file() else []


def _mark_faults(file: Path) -> list[str]:
    """A byte order mark, which ESPnet would read as a part of the first id."""
    with open(file, "rb") as content:
        if content.read(3) != codecs.BOM_UTF8:
            return []
    return [
        f"{file}: begins with a byte order mark, which ESPnet takes for a part of the first id; "
        f"remove it: sed -i '1s/^\\xEF\\xBB\\xBF//' {file}"
    ]


def _segment_keys(source: Source, rows: Sequence[Row], errors: list[str]) -> set[str] | None:
    """The utterances of the ``segments`` beside a table of recordings; None if there is none."""
    path = source.path.with_name(SEGMENTS)
    if source.kind != "sound" or not (source.path.is_file() and path.is_file()):
        return None
    _, faults = scan_segments(path, {row.key for row in rows})
    errors += _limited(faults + channel_errors(path.parent))
    return {row.key for row in scan_table(path)[0]}


def _value_faults(source: Source, rows: Sequence[Row]) -> Iterator[str]:
    """What is wrong with the values of one table."""
    places: dict[str, bool] = {}
    for row in rows:
        where = f"{source.path}:{row.line}: utterance '{row.key}'"
        if source.kind in ("kaldi_ark", "sound") and "|" in row.value:
            yield f"{where}: is a command; give the path of a file instead"
        elif source.kind in ("kaldi_ark", "sound"):
            # "a.ark:123" is a place in an archive.
            place = row.value.rpartition(":")[0] if source.kind == "kaldi_ark" else row.value
            if not places.setdefault(place, Path(place).is_file()):
                yield f"{where}: there is no file {place or row.value!r}"
        elif source.name == "text" and not row.value:
            yield f"{where}: the transcript is empty"
        elif source.name == "language":
            try:
                canonical_language(row.value)
            except UserError as error:
                yield f"{where}: {error}"


def set_errors(
    kind: str, sources: Sequence[Source], shapes: Sequence[str], needed: Sequence[str]
) -> list[str]:
    """The faults of one set's tables.

    Args:
        kind: ``train`` or ``valid``.
        sources: of that set.
        shapes: its files with the lengths of utterances.
        needed: names of the data that there must be.
    """
    option = f"--{kind}_data_path_and_name_and_type"
    names = {source.name for source in sources}
    errors = [
        f"{option}: no data named '{name}'; add {_EXAMPLES.get(name, f'FILE,{name},KIND')}"
        for name in needed
        if name not in names
    ]
    errors += [
        f"{option}: '{source.kind}' is no kind of speech here; give kaldi_ark or sound"
        for source in sources
        if source.name == "speech" and source.kind not in _SPEECH_KINDS
    ]
    tables: list[tuple[Path, set[str]]] = []
    for source in sources:
        files = table_files(source.path)
        if not files:
            errors.append(f"{source.path}: no such file; check {option}")
            continue
        keys: set[str] = set()
        for file in files:
            rows, faults = scan_table(file)
            part = replace(source, path=file)
            errors += _mark_faults(file) + _limited(faults)
            errors += _limited(list(_value_faults(part, rows)))
            segments = _segment_keys(source, rows, errors)
            keys.update({row.key for row in rows} if segments is None else segments)
        is_cut = segments is not None
        tables.append((source.path.with_name(SEGMENTS) if is_cut else source.path, keys))
    for path, keys in tables[1:]:
        first, all_keys = tables[0]
        odd = sorted(keys ^ all_keys)
        errors += _limited([f"'{key}' is in only one of {first} and {path}" for key in odd])
    for shape in map(Path, shapes):
        files = table_files(shape)
        if not files:
            errors.append(f"{shape}: no such file; check --{kind}_shape_file")
        elif tables:
            listed = {row.key for file in files for row in scan_table(file)[0]}
            odd = sorted(listed - tables[0][1])
            errors += [fault for file in files for fault in _mark_faults(file)]
            errors += _limited([f"{shape}: '{key}' is not in {tables[0][0]}" for key in odd])
            if odd and shape.with_name(SEGMENTS) in [path for path, _ in tables]:
                cut = shape.with_name(SEGMENTS)
                errors.append(f"{shape} lists recordings; give {cut} as --{kind}_shape_file")
    return errors


def feature_errors(
    sets: Sequence[Sequence[Source]], encoder: EncoderConfig | None = None
) -> list[str]:
    """Whether the precomputed features of all sets say what they are, and say the same.

    Args:
        sets: what is read.
        encoder: that is to read them, if its configuration is right.
    """
    errors, found = [], {}
    for sources in sets:
        for source in sources:
            description = source.path.parent / "feats.json"
            if source.name != "speech" or not table_files(source.path):
                continue
            if not description.is_file():
                errors.append(f"{description}: missing; extract features with stage 4")
                continue
            facts = read_description(description)
            found[description] = (facts["dim"], facts.get("encoder_sha256"), facts.get("layer"))
            faults = encoder.feature_errors(facts) if encoder is not None else []
            errors += [f"{description}: {fault}" for fault in faults]
    if len(set(found.values())) > 1:
        names = " and ".join(map(str, found))
        errors.append(f"{names} were made by different encoders or layers")
    return errors


def count_languages(sources: Sequence[Source]) -> tuple[dict[str, int], int]:
    """Utterances of each canonical language; behind them how many there are if none is named.

    Args:
        sources: of one set; the languages are those of ``utt2lang,language,text``.

    Raises:
        UserError: if a table is malformed or names what is no language.
    """
    tables = {source.name: table_files(source.path) for source in sources}
    if "language" in tables:
        counts = Counter(
            language for file in tables["language"] for language in read_languages(file).values()
        )
        return dict(counts), 0
    return {}, sum(len(scan_table(file)[0]) for file in tables.get("text", ()))


def default_prompt_notes(
    train: Mapping[str, int], valid: Mapping[str, int], templates: Collection[str]
) -> list[str]:
    """What the log of a training says about languages without a prompt of their own.

    Args:
        train: utterances of each language in the training set; empty if no language is named.
        valid: the same for the validation set.
        templates: the languages that have a template, and ``default``.

    >>> default_prompt_notes({"en": 9, "de": 2}, {"fr": 1}, ["default", "en"])
    ["the prompt 'default' is trained for German (de)", 'validated but not trained: French (fr)']
    >>> default_prompt_notes({}, {}, ["default", "en"])
    ["no language is named: only the prompt 'default' is trained, not that for English (en)"]
    """
    named = set(templates) - {DEFAULT}
    if not train:
        unused = f", not that for {describe_languages(named)}" if named else ""
        return [f"no language is named: only the prompt 'default' is trained{unused}"]
    notes = []
    if unnamed := train.keys() - named:
        notes.append(f"the prompt 'default' is trained for {describe_languages(unnamed)}")
    if untrained := valid.keys() - train.keys():
        notes.append(f"validated but not trained: {describe_languages(untrained)}")
    return notes


def checkpoint_errors(values: Sequence[str]) -> list[str]:
    """Faults of ``--init_param FILE[:...]``; a checkpoint is a zip archive with its list at the
    end, so that a file that was cut off is known without PyTorch.

    >>> checkpoint_errors(["exp/none.pth:projector"])
    ['--init_param: there is no file exp/none.pth']
    """
    errors = []
    for value in values:
        path = Path(value.partition(":")[0])
        if value.count(":") > 3:
            errors.append(f"--init_param: expected FILE:SOURCE:TARGET:EXCLUDED, found {value}")
        elif not path.is_file():
            errors.append(f"--init_param: there is no file {path}")
        elif not zipfile.is_zipfile(path):
            errors.append(f"--init_param: {path} is damaged or no checkpoint; train it again")
    return errors
