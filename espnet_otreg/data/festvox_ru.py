"""The Russian Festival voice: literary sentences read by one man, 16 kHz."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.transcripts import Dropped, drop, spoken_words, strip_notes
from espnet_otreg.errors import UserError
from espnet_otreg.utf8 import read_utf8

_LINE = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*\)')


def read_prompts(path: str | Path) -> Iterator[tuple[str, str]]:
    """The (id, text) pairs of a ``txt.done.data``.

    Raises:
        UserError: if a line has another form, naming it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "txt.done.data"
    >>> _ = path.write_text('( ru_0002 "Вол+ос за ухо." )\\n', encoding="utf-8")
    >>> list(read_prompts(path))
    [('ru_0002', 'Вол+ос за ухо.')]
    """
    for number, line in enumerate(read_utf8(path).splitlines(), start=1):
        match = _LINE.fullmatch(line.strip())
        if match:
            yield match.group(1), match.group(2)
        elif line.strip():
            raise UserError('expected ( id "text" )', f"{path}:{number}", "fetch the corpus again")


def prepare_festvox_ru(corpus_dir: str | Path, output_dir: str | Path, language: str) -> PrepLog:
    """Make the data directory; the ``+`` before a stressed vowel is taken out of the text.

    Args:
        corpus_dir: holds ``wav/`` and ``etc/txt.done.data``.
        output_dir: is written whole, with ``prep_log.json``.
        language: ru.

    Raises:
        UserError: if the files are not as expected.
    """
    corpus_dir = Path(corpus_dir)
    if language != "ru":
        raise UserError("festvox_ru is Russian", str(corpus_dir), "give --language ru")
    log = PrepLog("festvox_ru", language)
    speaker = "ru_festvox_nsh"
    utterances = []
    for name, raw in read_prompts(corpus_dir / "etc/txt.done.data"):
        path = corpus_dir / "wav" / f"{name}.wav"
        try:
            if not path.exists():
                drop("no_audio")
            words = spoken_words(strip_notes(raw.replace("+", "")), language)
        except Dropped as dropped:
            log.drop(dropped.reason, name)
            continue
        if "+" in raw:
            log.mend("stress_mark", name)
        number = name.removeprefix("ru_")
        utterances.append(
            Utterance(f"{speaker}_{number}", str(path), words, raw, language, speaker, "festvox_ru")
        )
        log.seconds += audio_seconds(path)
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
