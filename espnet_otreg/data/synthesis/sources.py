"""What speech is made from: sentences by language, less those of test sets, by voices that read
none of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.data.synthesis.catalogue import ESPEAK_VARIANTS, VOICES
from espnet_otreg.data.synthesis.plan import speaker_name
from espnet_otreg.data.synthetic import PINNED_VOICES
from espnet_otreg.errors import UserError
from espnet_otreg.utf8 import read_utf8


def read_sentences(directory: Path, languages: Iterable[str]) -> dict[str, list[str]]:
    """The lines of ``DIRECTORY/LANGUAGE.txt``.

    Raises:
        UserError: if the text of a language is missing or empty.
    """
    sentences = {}
    for language in languages:
        path = directory / f"{language}.txt"
        lines = read_utf8(path).splitlines() if path.is_file() else []
        sentences[language] = [line.strip() for line in lines if line.strip()]
        if not sentences[language]:
            raise UserError("no text to read aloud", str(path), "put one sentence on each line")
    return sentences


def _speakers() -> dict[str, tuple[str, str]]:
    """Speaker of a data directory -> the synthetic voice that it is, without its variant."""
    names = {v.speaker: (v.engine, v.name) for v in PINNED_VOICES}
    for engine, name in VOICES:
        names[speaker_name(engine, name)] = (engine, name)
        for variant in ESPEAK_VARIANTS if engine == "espeak" else ():
            names[speaker_name(engine, f"{name}+{variant}")] = (engine, name)
    return names


def voices_of_tests(directories: Sequence[Path]) -> dict[tuple[str, str], str]:
    """The synthetic voices that read development or test sets.

    Args:
        directories: data directories of these sets.

    Returns:
        (engine, voice without variant) -> the directory.
    """
    known = _speakers()
    found: dict[tuple[str, str], str] = {}
    for directory in directories:
        table = directory / "utt2spk"
        speakers = sorted(set(read_table(table).values())) if table.is_file() else []
        for speaker in speakers:
            if speaker in known:
                found.setdefault(known[speaker], str(directory))
    return found
