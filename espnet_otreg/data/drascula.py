"""Drascula, an adventure game: acted English dialogue at 11 kHz, ten characters."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.transcripts import Dropped, drop, spoken_words, strip_notes
from espnet_otreg.errors import UserError

# The text tables that are spoken, in the order of the file: prefix of the audio files.
SPOKEN_TABLES = ("", "D", "B", "BJ", "E", "I", "L", "P", "T", "VB")
TEXT_OFFSET = 7251  # where the texts begin in version 6 of drascula.dat
_ENCODING = "cp850"


def _texts_of_block(block: bytes, count: int) -> list[str]:
    """``count`` NUL-terminated texts; the two bytes before each tell the distance to the next."""
    position, texts = 4, []
    for number in range(count):
        if number:
            position += struct.unpack_from(">H", block, position - 2)[0]
        texts.append(block[position : block.index(b"\0", position)].decode(_ENCODING))
    return texts


def read_texts(path: str | Path) -> list[list[str]]:
    """The English texts of ``drascula.dat``, one list for each of :data:`SPOKEN_TABLES`.

    Big-endian 16-bit numbers throughout: number of languages, then for each table the number of
    texts and, for each language (English first), the size of its block and the block.

    Raises:
        UserError: if the file is not the known version.
    """
    content = Path(path).read_bytes()
    if content[:9] != b"DRASCULA\x06":
        raise UserError("not version 6 of drascula.dat", str(path), "fetch the package again")
    try:
        (languages,) = struct.unpack_from(">H", content, TEXT_OFFSET)
        position, tables = TEXT_OFFSET + 2, []
        for _ in SPOKEN_TABLES:
            (count,) = struct.unpack_from(">H", content, position)
            position += 2
            for language in range(languages):
                (size,) = struct.unpack_from(">H", content, position)
                if language == 0:
                    block = content[position + 2 : position + 2 + size]
                    tables.append(_texts_of_block(block, count))
                position += 2 + size
    except (struct.error, ValueError) as error:
        raise UserError("drascula.dat is damaged", str(path), "fetch the package again") from error
    return tables


def prepare_drascula(corpus_dir: str | Path, output_dir: str | Path, language: str) -> PrepLog:
    """Make the data directory of the English dialogue.

    Speakers are the game's characters (one text table each); actors may play several.

    Args:
        corpus_dir: holds ``drascula.dat`` and the ``.ALS`` files.
        output_dir: is written whole, with ``prep_log.json``.
        language: en.

    Raises:
        UserError: if the files are not as expected.
    """
    corpus_dir = Path(corpus_dir)
    if language != "en":
        raise UserError("drascula is English", str(corpus_dir), "give --language en")
    log = PrepLog("drascula", language)
    recordings = {path.stem: path for path in sorted(corpus_dir.glob("*.ALS"))}
    utterances = []
    for prefix, texts in zip(SPOKEN_TABLES, read_texts(corpus_dir / "drascula.dat"), strict=True):
        speaker = f"en_drascula_{prefix or 'main'}"
        for number, raw in enumerate(texts):
            path = recordings.pop(f"{prefix}{number}", None)
            if path is None:
                if raw.strip():
                    log.drop("no_audio", f"{prefix}{number}")
                continue
            try:
                if not re.search(r"\w", raw):
                    drop("no_transcript")
                if strip_notes(raw) != " ".join(raw.split()):
                    drop("note")
                words = spoken_words(raw, language)
            except Dropped as dropped:
                log.drop(dropped.reason, path.stem)
                continue
            utterances.append(
                Utterance(
                    f"{speaker}_{number:03d}", str(path), words, raw, language, speaker, "drascula"
                )
            )
            log.seconds += audio_seconds(path)
    for name in recordings:  # sound effects (S) and songs (F) have no table
        log.drop("no_transcript", name)
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
