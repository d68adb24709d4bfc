"""Flight of the Amazon Queen, an adventure game: acted English dialogue, MP3 at 11 kHz."""

from __future__ import annotations

import re
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.queen_archive import read_members, spoken_texts
from espnet_otreg.data.transcripts import Dropped, drop, spoken_words, strip_notes
from espnet_otreg.errors import UserError
from espnet_otreg.files import replace_directory

# Characters of the transcript for a second of its clip. The actors speak at 5 to 19; slower clips
# have a sound or a pause, faster ones lack words.
SLOWEST, FASTEST = 5.0, 22.0
_INTERJECTIONS = frozenset(
    "ah aha ahh argh aw er err gulp ha hee heh hey hmm ho huh mm oh ooh oops ouch ow phew psst pst "
    "sh shh sigh ugh uh uhh um umm whoa whoah woo wow yeah yikes yo yow yuk".split()
)
_DRAWN_OUT = re.compile(r"(\w)\1\1")


def is_interjection(words: str) -> bool:
    """Whether a text is only cries and sounds, which everybody writes in another way.

    >>> is_interjection("ha ha ha"), is_interjection("nooo way"), is_interjection("oh my god")
    (True, True, False)
    """
    return bool(_DRAWN_OUT.search(words)) or set(words.split()) <= _INTERJECTIONS


def _words_of(text: str) -> str:
    if strip_notes(text) != text:
        drop("note")
    words = spoken_words(text, "en")
    if is_interjection(words):
        drop("interjection")
    if len(words.split()) < 2:
        drop("one_word")
    return words


def prepare_amazon_queen(corpus_dir: str | Path, output_dir: str | Path, language: str) -> PrepLog:
    """Make the data directory of the English dialogue.

    Speakers are the game's characters (one dialogue file each); those of its cutaway scenes are not
    told apart.

    Args:
        corpus_dir: holds ``queen.1c``.
        output_dir: is written whole, with ``prep_log.json``; the clips go to
            ``<output_dir>_clips``.
        language: en.

    Raises:
        UserError: if the archive is not as expected.
    """
    archive, output_dir = Path(corpus_dir) / "queen.1c", Path(output_dir)
    if language != "en":
        raise UserError("the dialogue is English", str(archive), "give --language en")
    log = PrepLog("amazon_queen", language)
    members = read_members(archive)
    untold = {name for name in members if name.endswith(".SB")}
    audio_dir = output_dir.with_name(output_dir.name + "_clips")
    utterances: dict[str, Utterance] = {}
    with replace_directory(audio_dir) as fresh:
        for spoken in spoken_texts(members, archive):
            speaker = f"en_queen_{spoken.speaker or 'unknown'}"
            for name, raw in spoken.clips():
                if name not in members:
                    continue  # a text that is shown only, or part of another one's animation
                key = f"{speaker}_{name.removesuffix('.SB')}"
                try:
                    if name not in untold:
                        drop("duplicate_id")
                    untold.remove(name)
                    words = _words_of(raw)
                    path = fresh / f"{key}.mp3"
                    path.write_bytes(members[name])
                    seconds = audio_seconds(path)
                    if not SLOWEST <= len(words) / seconds <= FASTEST:
                        path.unlink()
                        drop("rate")
                except Dropped as dropped:
                    log.drop(dropped.reason, name)
                    continue
                wav = str(audio_dir / path.name)
                utterances[key] = Utterance(key, wav, words, raw, language, speaker, "amazon_queen")
                log.seconds += seconds
    for name in sorted(untold):
        log.drop("no_transcript", name)
    log.kept = len(utterances)
    write_data_dir(output_dir, list(utterances.values()))
    log.write(output_dir)
    return log
