"""Pool data directories; keep texts that were trained on out of the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_otreg.data.kaldi_dir import Utterance, read_table
from espnet_otreg.data.languages import read_languages
from espnet_otreg.errors import UserError


def pool(parts: Iterable[Sequence[Utterance]]) -> list[Utterance]:
    """All utterances of several directories, sorted by id.

    Raises:
        UserError: if two share an id.
    """
    pooled: dict[str, Utterance] = {}
    for part in parts:
        for utterance in part:
            if utterance.utterance_id in pooled:
                raise UserError(
                    f"utterance '{utterance.utterance_id}' comes twice",
                    f"{pooled[utterance.utterance_id].wav} and {utterance.wav}",
                    "give the corpora different ids",
                )
            pooled[utterance.utterance_id] = utterance
    return [pooled[key] for key in sorted(pooled)]


def without_texts_of(
    utterances: Iterable[Utterance], training: Iterable[Utterance]
) -> tuple[list[Utterance], list[Utterance]]:
    """Split off the utterances whose normalised text, in their language, was trained on.

    Returns:
        (kept, removed).
    """
    trained = {(utterance.language, utterance.text) for utterance in training}
    kept: list[Utterance] = []
    removed: list[Utterance] = []
    for utterance in utterances:
        seen = (utterance.language, utterance.text) in trained
        (removed if seen else kept).append(utterance)
    return kept, removed


def kept_out(paths: Iterable[Path]) -> list[Path]:
    """The data directories that a list of paths stands for.

    Args:
        paths: data directories, or directories that hold some: of these all but ``train``.

    Raises:
        UserError: if there is none at one of the paths.
    """
    found = []
    for path in paths:
        inside = [path] if (path / "text").is_file() else sorted(path.glob("*/"))
        sets = [one for one in inside if (one / "text").is_file() and one.name != "train"]
        if not sets:
            raise UserError("no data directory with a text here", str(path), "check the path")
        found += sets
    return found


def read_transcripts(directories: Iterable[Path]) -> dict[str, set[str]]:
    """Transcripts of data directories by language.

    Raises:
        UserError: if a table is missing or malformed.
    """
    transcripts: dict[str, set[str]] = {}
    for directory in directories:
        languages = read_languages(directory / "utt2lang")
        for utterance, text in read_table(directory / "text").items():
            transcripts.setdefault(languages[utterance], set()).add(text)
    return transcripts
