"""Asterisk prompts by Paola Dal Zot: a second real Italian voice, which reads the same prompts.

The package has no transcripts. Many of its files are called as those of the Italian core sounds
are, and most of these say the same words.
"""

from __future__ import annotations

import re
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.core_sounds import read_core_texts
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.transcripts import Dropped, drop, spoken_words, strip_notes
from espnet_otreg.errors import UserError

DOMAIN = "menardi_same_prompts"


def prepare_menardi(corpus_dir: str | Path, output_dir: str | Path, language: str) -> PrepLog:
    """Make the data directory, with the texts of the core sounds of the same names.

    Whether a recording says that text is for others to find out; see ``prepare_corpus --keep``.

    Args:
        corpus_dir: holds ``core-sounds-it.txt`` and the ``.wav`` files.
        output_dir: is written whole, with ``prep_log.json``.
        language: it.

    Raises:
        UserError: if the files are not there.
    """
    corpus_dir = Path(corpus_dir)
    if language != "it":
        raise UserError("these prompts are Italian", str(corpus_dir), "give --language it")
    log = PrepLog(DOMAIN, language)
    recordings = {
        path.relative_to(corpus_dir).with_suffix("").as_posix(): path
        for path in sorted(corpus_dir.rglob("*.wav"))
    }
    texts = read_core_texts(corpus_dir / "core-sounds-it.txt", language, PrepLog("texts", language))
    speaker = "it_menardi_dalzot"
    utterances = []
    for name, path in recordings.items():
        try:
            if name not in texts:
                drop("no_transcript")
            seconds = audio_seconds(path)
            if seconds == 0:
                drop("empty_audio")
            words = spoken_words(strip_notes(texts[name]), language)
        except Dropped as dropped:
            log.drop(dropped.reason, name)
            continue
        key = f"{speaker}_{re.sub('[^A-Za-z0-9_.-]', '.', name)}"
        utterances.append(Utterance(key, str(path), words, texts[name], language, speaker, DOMAIN))
        log.seconds += seconds
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
