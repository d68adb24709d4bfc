"""From a publisher's list of recordings to a data directory and a log of what was dropped."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.prep_log import PrepLog, format_counts
from espnet_otreg.data.transcripts import Dropped, drop, spoken_words
from espnet_otreg.errors import UserError
from espnet_otreg.progress import Progress

_BATCH = 10_000  # clips in hand at a time: a training set may have ten million


@dataclasses.dataclass(frozen=True)
class Clip:
    """One recording as its publisher describes it.

    Attributes:
        name: the publisher's id, unique in the set.
        path: the audio file, which may be missing.
        transcript: what is spoken; empty if nobody wrote it down.
        raw_text: the transcript as it was written, where that is another one.
        speaker: the publisher's name of the speaker; empty if it is not known.
        seconds: length, where the publisher gives it; else the file is asked.
    """

    name: str
    path: Path
    transcript: str
    raw_text: str = ""
    speaker: str = ""
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class ClipSet:
    """Which set of which corpus clips belong to; ``domain`` is what tables call it."""

    corpus: str
    subset: str
    language: str
    domain: str


def require_known(value: str, known: Collection[str], what: str, corpus: str) -> None:
    """Raise unless a corpus has that language or subset.

    Raises:
        UserError: naming what there is.

    >>> require_known("trian", ["train", "test"], "subset", "FLEURS")
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: FLEURS has no subset 'trian'; it has: test, train
    """
    if value not in known:
        raise UserError(
            f"{corpus} has no {what} '{value}'", "", f"it has: {', '.join(sorted(known))}"
        )


def safe_id(name: str) -> str:
    """A name with only those characters that an utterance id may have.

    >>> safe_id("20190114-0900-PLENARY-3-nl_20190114-09:06:43_4")
    '20190114-0900-PLENARY-3-nl_20190114-09.06.43_4'
    """
    return re.sub("[^A-Za-z0-9_.-]", ".", name)


def _examine(clip: Clip, language: str) -> tuple[str, float] | Dropped:
    """Words and seconds of a clip, or why it cannot be used."""
    try:
        if not clip.transcript.strip():
            drop("no_transcript")
        if not clip.path.is_file():
            drop("no_audio")
        words = spoken_words(clip.transcript, language)
        known = clip.seconds is not None and clip.path.stat().st_size > 0
        seconds = clip.seconds if known else _measured(clip.path)
        if not seconds:
            drop("empty_audio")
        return words, seconds
    except Dropped as dropped:
        return dropped


def _measured(path: Path) -> float:
    return audio_seconds(path) if path.stat().st_size else 0.0


def _utterance(clip: Clip, words: str, clip_set: ClipSet) -> Utterance:
    """Ids begin with the speaker, so that a speaker's utterances stand together."""
    speaker = f"{clip_set.language}_{clip_set.corpus}_{safe_id(clip.speaker) or 'unknown'}"
    name = safe_id(clip.name)
    # "1272-128104-0000" says already who speaks.
    own = name.removeprefix(safe_id(clip.speaker)).lstrip("_-") if clip.speaker else name
    return Utterance(
        utterance_id=f"{speaker}_{own}",
        wav=str(clip.path),
        text=words,
        raw_text=" ".join((clip.raw_text or clip.transcript).split()),
        language=clip_set.language,
        speaker=speaker,
        domain=clip_set.domain,
    )


def write_clips(
    output_dir: str | Path, clips: Iterable[Clip], clip_set: ClipSet, log: PrepLog, jobs: int
) -> PrepLog:
    """Write the data directory of a set; drop and count the clips that cannot be used.

    Args:
        output_dir: is written whole, with ``prep_log.json``.
        clips: in any order.
        clip_set: what they belong to.
        log: gets what is kept and dropped; may have entries already.
        jobs: files looked at at a time.

    Returns:
        ``log``.

    Raises:
        UserError: if an audio file cannot be decoded, or nothing usable is left.
    """
    everything = list(clips)
    utterances: dict[str, Utterance] = {}
    progress = Progress(f"{log.corpus} {log.language}", len(everything), "recordings")
    examine = functools.partial(_examine, language=clip_set.language)
    with ThreadPoolExecutor(jobs) as threads:  # the time goes into the file system
        for batch in batched(everything, _BATCH):
            for clip, found in zip(batch, threads.map(examine, batch), strict=True):
                progress.advance(1)
                if isinstance(found, Dropped):
                    log.drop(found.reason, clip.name)
                    continue
                utterance = _utterance(clip, found[0], clip_set)
                if utterance.utterance_id in utterances:
                    log.drop("duplicate_id", clip.name)
                    continue
                utterances[utterance.utterance_id] = utterance
                log.seconds += found[1]
    progress.close()
    log.kept = len(utterances)
    if not utterances:
        dropped = format_counts({reason: len(names) for reason, names in log.dropped.items()})
        raise UserError(
            f"no usable utterance of {log.corpus} ({log.language}); dropped: {dropped}",
            str(output_dir),
            "check that the copy of the corpus is whole",
        )
    write_data_dir(output_dir, utterances.values())
    log.write(output_dir)
    return log
