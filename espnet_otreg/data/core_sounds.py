"""Asterisk core sounds: telephone prompts in five languages, one professional voice each."""

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

VOICES = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "ivrvoice"}

# The Italian file lost some accented letters on its way; each has one possible reading.
_LOST_ACCENTS = {
    r"\bsar\?": "sarà", r"\bpu\?": "può", r"\bcos\?": "così", r"\bpi\?": "più", r" \? ": " è ",
}  # fmt: skip
# Ids that the publisher mistyped: (language, id, text) -> the id whose recording says it.
_MISTYPED_IDS = {("es", "digits/0", "diez"): "digits/10"}


def read_transcripts(path: str | Path) -> Iterator[tuple[str, str]]:
    """The (id, text) lines of a ``core-sounds-XX.txt``: ``;`` starts a comment, a BOM may lead.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "core-sounds-en.txt"
    >>> _ = path.write_text("\\ufeff; comment\\n\\nactivated: Activated.\\n", encoding="utf-8")
    >>> list(read_transcripts(path))
    [('activated', 'Activated.')]
    """
    for line in read_utf8(path).splitlines():
        name, colon, text = line.partition(":")
        if colon and not line.startswith(";"):
            yield name.strip(), text.strip()


def _mend(name: str, text: str, language: str, log: PrepLog) -> str:
    """Undo the publisher's accidents that have one possible reading."""
    mended = text
    if language == "it":
        for pattern, letters in _LOST_ACCENTS.items():
            mended = re.sub(pattern, letters, mended)
        if mended != text:
            log.mend("lost_accent", name)
    # "conf-adminmenu: conf-adminmenu: ..." repeats the id; "... dièse.vm-review: ..." runs on
    # into the next entry. What stands before the second id is the text of this one.
    alone = re.sub(rf"^{re.escape(name)}:\s*", "", mended)
    alone = re.sub(r"(?<=[.!?])[a-z]+-[a-z-]+:\s.*$", "", alone)
    if alone != mended:
        log.mend("id_inside_text", name)
    return alone


def read_core_texts(path: Path, language: str, log: PrepLog) -> dict[str, str]:
    """Id -> text of a ``core-sounds-XX.txt``, the publisher's accidents undone.

    Args:
        path: of the file.
        language: its language.
        log: gets what is mended, and ids that are given twice.
    """
    texts: dict[str, str] = {}
    for name, text in read_transcripts(path):
        if name in texts and (language, name, text) in _MISTYPED_IDS:
            log.mend("mistyped_id", name)
            name = _MISTYPED_IDS[language, name, text]
        if name in texts:
            if text != texts[name]:
                log.drop("duplicate_id", name)
            continue
        texts[name] = _mend(name, text, language, log)
    return texts


def _pair(texts: dict[str, str], names: set[str], log: PrepLog) -> dict[str, str]:
    """Recording -> text; ids that differ from the file's name in case only are accepted."""
    paired = {name: text for name, text in texts.items() if name in names}
    free = {name.lower(): name for name in sorted(names - paired.keys())}
    for name in sorted(texts.keys() - paired.keys()):
        recording = free.pop(name.lower(), None)
        if recording is None:
            log.drop("no_audio", name)
        else:
            log.mend("case_of_id", name)
            paired[recording] = texts[name]
    for recording in sorted(names - paired.keys()):
        log.drop("no_transcript", recording)
    return paired


def prepare_core_sounds(corpus_dir: str | Path, output_dir: str | Path, language: str) -> PrepLog:
    """Make the data directory of one language from its extracted packages.

    Args:
        corpus_dir: holds ``core-sounds-XX.txt`` and the ``.g722`` files.
        output_dir: is written whole; ``prep_log.json`` counts every dropped utterance and why.
        language: en, es, fr, it or ru.

    Raises:
        UserError: if there is no transcript file or nothing usable.
    """
    corpus_dir = Path(corpus_dir)
    transcripts = corpus_dir / f"core-sounds-{language}.txt"
    if language not in VOICES or not transcripts.exists():
        raise UserError("no core sounds of this language", str(transcripts), "fetch them first")
    log = PrepLog("core_sounds", language)
    recordings = {
        path.relative_to(corpus_dir).with_suffix("").as_posix(): path
        for path in sorted(corpus_dir.rglob("*.g722"))
    }
    texts = read_core_texts(transcripts, language, log)
    speaker = f"{language}_core_{VOICES[language]}"
    utterances = []
    for name, raw in _pair(texts, set(recordings), log).items():
        try:
            seconds = audio_seconds(recordings[name])
            if seconds == 0:
                drop("empty_audio")
            words = spoken_words(strip_notes(raw), language)
        except Dropped as dropped:
            log.drop(dropped.reason, name)
            continue
        utterance_id = f"{speaker}_{re.sub('[^A-Za-z0-9_.-]', '.', name)}"
        utterances.append(
            Utterance(
                utterance_id, str(recordings[name]), words, raw, language, speaker, "core_sounds"
            )
        )
        log.seconds += seconds
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
