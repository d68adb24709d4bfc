"""Tux Paint stamps: volunteers describe pictures in a sentence, 44.1 kHz Ogg."""

from __future__ import annotations

import re
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.transcripts import Dropped, drop, spoken_words, strip_notes

# Single letters and chess pieces are no descriptions.
_EXCLUDED = ("symbols/alphabets/", "symbols/chess/")
MINIMUM_WORDS = 2


def read_description(path: str | Path, language: str) -> str:
    """The description in one language from a stamp's ``.txt``; empty if there is none.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "dog.txt"
    >>> _ = path.write_text("A dog.\\nit.utf8=Un cane.\\n", encoding="utf-8")
    >>> read_description(path, "it"), read_description(path, "fr")
    ('Un cane.', '')
    """
    path = Path(path)
    if not path.exists():
        return ""
    content = path.read_text(encoding="utf-8-sig", errors="replace")
    match = re.search(rf"^{re.escape(language)}\.utf8=(.*)$", content, re.MULTILINE)
    return " ".join(match.group(1).split()) if match else ""


def stamp_id(corpus_dir: Path, text_path: Path) -> str:
    """An id made of the path below the stamps directory: ``animals.birds.duck``."""
    name = text_path.relative_to(corpus_dir).with_suffix("").as_posix()
    return re.sub("[^A-Za-z0-9_-]", ".", name)


def described_words(raw: str, stamp: str, language: str) -> str:
    """The words of a description as it is read aloud.

    Raises:
        Dropped: if it has fewer than two words, is about letters or chess, or its reading is not
            certain: a remark in brackets may or may not have been read.

    >>> described_words("A small dog.", "animals.dog", "en")
    'a small dog'
    """
    if not raw:
        drop("no_transcript")
    if stamp.startswith(tuple(topic.replace("/", ".") for topic in _EXCLUDED)):
        drop("excluded_topic")
    if strip_notes(raw) != raw:
        drop("note")
    words = spoken_words(raw, language)
    if len(words.split()) < MINIMUM_WORDS:
        drop("one_word")
    return words


def prepare_tuxpaint(corpus_dir: str | Path, output_dir: str | Path, language: str) -> PrepLog:
    """Make the data directory of the descriptions in one language.

    The publisher does not say who speaks: all share the speaker ``<lang>_tuxpaint_unknown``.

    Args:
        corpus_dir: the stamps directory with ``X.txt`` and ``X_desc_<lang>.ogg``.
        output_dir: is written whole, with ``prep_log.json``.
        language: es, fr or ru.

    Raises:
        UserError: if nothing usable is found.
    """
    corpus_dir = Path(corpus_dir)
    log = PrepLog("tuxpaint", language)
    speaker = f"{language}_tuxpaint_unknown"
    ending = f"_desc_{language}.ogg"
    utterances = []
    for path in sorted(corpus_dir.rglob(f"*{ending}")):
        text_path = path.with_name(path.name.removesuffix(ending) + ".txt")
        raw = read_description(text_path, language)
        stamp = stamp_id(corpus_dir, text_path)
        try:
            words = described_words(raw, stamp, language)
            seconds = audio_seconds(path)
            if seconds == 0:
                drop("empty_audio")
        except Dropped as dropped:
            log.drop(dropped.reason, stamp)
            continue
        utterances.append(
            Utterance(f"{speaker}_{stamp}", str(path), words, raw, language, speaker, "tuxpaint")
        )
        log.seconds += seconds
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
