"""The data directories that are decoded, cut into batches of similar length."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.data.ark import matrix_digest, read_description, read_features
from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.digests import UTT2DIGEST, read_digests
from espnet_otreg.data.kaldi_dir import read_table, set_name
from espnet_otreg.data.languages import canonical_languages, describe_languages
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.slm.trained_languages import ANY_LANGUAGE, TrainedLanguages


@dataclass(frozen=True)
class Speech:
    """One utterance.

    Attributes:
        key: its id.
        language: canonical.
        source: its recording, or the place of its features in an archive.
        seconds: length.
        digest: of the content of ``source``.
    """

    key: str
    language: str
    source: Recording | str
    seconds: float
    digest: str = ""

    def facts(self) -> list[str | float]:
        """What its hypotheses are made from, for fingerprints: its content, not its place."""
        return [self.key, self.language, self.seconds, self.digest]


@dataclass(frozen=True)
class DataSet:
    """A data directory.

    Attributes:
        name: its last component, of a link the link's own, which names the results.
        utterances: sorted by key.
    """

    name: str
    directory: Path
    utterances: tuple[Speech, ...]


def read_data_set(
    directory: str | Path, precomputed: bool, trained: TrainedLanguages = ANY_LANGUAGE
) -> DataSet:
    """What there is to decode.

    Args:
        directory: with feats.scp and feats.json, or with wav.scp; utt2lang where the prompt
            depends on the language.
        precomputed: whether the model reads features.
        trained: what the model was trained for.

    Raises:
        UserError: if a table is missing or malformed, or the model was not trained for a language.
    """
    directory = Path(directory)
    table, kind = ("feats.scp", "features") if precomputed else ("wav.scp", "audio")
    if not (directory / table).is_file():
        raise UserError(
            f"there is no {table}, and this model reads {kind}",
            str(directory),
            "give the feature directory of stage 4" if precomputed else "give a data directory",
        )
    sources: Mapping[str, Recording | str] = (
        read_table(directory / table) if precomputed else read_recordings(directory / table)
    )
    if not sources:
        raise UserError("there is no utterance", str(directory / table), "make it again")
    languages = _languages(directory, sources, trained)
    durations = _companion(directory, "utt2dur", sources)
    frame_seconds = 0.0
    if precomputed:
        frame_seconds = float(read_description(directory / "feats.json")["frame_seconds"])
    digests = _digests(directory, sources)

    def seconds(key: str) -> float:
        if durations is not None:
            return _seconds(durations[key], f"{directory / 'utt2dur'}: utterance {key}")
        source = sources[key]
        if not isinstance(source, Recording):
            return len(read_features(source, key)) * frame_seconds
        try:
            return source.seconds()
        except (UserError, OSError) as error:
            where = f"utterance {key} ({source})"
            raise UserError(
                f"the recording cannot be read: {sentence_for(error)}", where
            ) from error

    utterances = tuple(
        Speech(key, languages[key], sources[key], seconds(key), digests[key])
        for key in sorted(sources)
    )
    return DataSet(set_name(directory), directory, utterances)


def _digests(directory: Path, sources: Mapping[str, Recording | str]) -> dict[str, str]:
    """utt2digest of the directory; what it does not have is read."""
    recordings = {key: source for key, source in sources.items() if isinstance(source, Recording)}
    if recordings:
        return read_digests(directory, recordings)
    table = directory / UTT2DIGEST
    known = read_table(table) if table.is_file() else {}
    return {
        key: known.get(key) or matrix_digest(read_features(str(place), key))
        for key, place in sources.items()
    }


def read_data_sets(
    directories: Sequence[str | Path], precomputed: bool, trained: TrainedLanguages = ANY_LANGUAGE
) -> list[DataSet]:
    """Several data directories, each with a name of its own.

    Args:
        directories: of the sets.
        precomputed, trained: as in :func:`read_data_set`.

    Raises:
        UserError: if two have one name, naming both, or as :func:`read_data_set`.
    """
    named: dict[str, str | Path] = {}
    for directory in directories:
        name = set_name(directory)
        if name in named:
            raise UserError(
                f"two data directories have the name '{name}': {named[name]} and {directory}",
                mend="rename one, or give a link of another name",
            )
        named[name] = directory
    return [read_data_set(directory, precomputed, trained) for directory in directories]


def _languages(
    directory: Path, sources: Mapping[str, Recording | str], trained: TrainedLanguages
) -> dict[str, str]:
    """Utterance -> canonical language; ``default`` where none is named and none is needed."""
    path = directory / "utt2lang"
    table = _companion(directory, path.name, sources)
    if table is None:
        try:
            return dict.fromkeys(sources, trained.only())
        except UserError as error:
            raise UserError(
                "there is no utt2lang, and this model's prompt depends on the language",
                str(directory),
                "make it ('<utterance id> <language>' a line); "
                f"the model knows {describe_languages(trained.languages)}",
            ) from error
    languages = canonical_languages({key: table[key] for key in sources}, path)
    for key, language in languages.items():
        try:
            trained.check(language)
        except UserError as error:
            raise UserError(error.what, f"{path}: utterance '{key}'", error.mend) from None
    return languages


def _seconds(value: str, where: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"'{value}' is no number of seconds", where, "make the file again")
    return seconds


def _companion(
    directory: Path, name: str, sources: Mapping[str, Recording | str]
) -> dict[str, str] | None:
    if not (directory / name).is_file():
        return None
    table = read_table(directory / name)
    missing = sorted(sources.keys() - table.keys())
    if missing:
        raise UserError(f"'{missing[0]}' is missing", str(directory / name), "make it again")
    return table


def make_batches(utterances: Sequence[Speech], batch_size: int) -> list[list[Speech]]:
    """Neighbours in length, the longest batch first, so that too little memory shows at once.

    >>> speech = [Speech(k, "it", "", s) for k, s in (("a", 1.0), ("b", 3.0), ("c", 2.0))]
    >>> [[u.key for u in batch] for batch in make_batches(speech, 2)]
    [['b', 'c'], ['a']]
    """
    ordered = sorted(utterances, key=lambda u: (-u.seconds, u.key))
    return [ordered[n : n + batch_size] for n in range(0, len(ordered), batch_size)]


def mismatched(utterances: Sequence[Speech]) -> dict[str, str]:
    """For the shuffled floor: whose speech each utterance gets.

    Within a language the utterances are passed round by one in the order of the sha256 of their
    ids, which has nothing to do with their content. A lone utterance of its language gets that
    of the next language.

    >>> speech = [Speech(k, k[:2], "", 1.0) for k in ("it_1", "it_2", "ru_1")]
    >>> mismatched(speech)
    {'it_1': 'it_2', 'it_2': 'it_1', 'ru_1': 'it_2'}
    """

    def order(u: Speech) -> str:
        return hashlib.sha256(u.key.encode()).hexdigest()

    groups: dict[str, list[Speech]] = {}
    for u in sorted(utterances, key=lambda u: (u.language, order(u))):
        groups.setdefault(u.language, []).append(u)
    names = list(groups)
    given: dict[str, str] = {}
    for n, group in enumerate(groups.values()):
        for position, u in enumerate(group):
            other = group[position - 1]
            if len(group) == 1:
                other = groups[names[n - 1]][0]
            given[u.key] = other.key
    return dict(sorted(given.items()))
