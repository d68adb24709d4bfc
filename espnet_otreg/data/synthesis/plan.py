"""Which sentence is read by whom and how: a function of the text, the settings and the seed."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from espnet_otreg.data.synthesis.config import LanguagePlan, SynthesisConfig, SynthesisEntry
from espnet_otreg.data.transcripts import Dropped, spell_out, spoken_words
from espnet_otreg.scoring.normalize import normalize

# Speech of these engines at their own speed, from which planned hours become sentences: a text of
# 40 letters takes about 2.6 s.
_SECONDS_FOR_A_TEXT, _SECONDS_FOR_A_LETTER = 0.45, 0.054
_LONGEST_WORD = 21  # letters; longer ones are no words that anybody says
_MIN_LETTERS = 2


@dataclass(frozen=True)
class Planned:
    """An utterance to be spoken.

    Attributes:
        utterance_id: begins with the speaker; depends on text, voice and reading alone.
        language: ISO 639-1 code.
        engine, voice: who reads.
        text: the transcript.
        said: what the engine is given: the same words, perhaps with a pause.
        speed, pitch: factors of the voice's own.
    """

    utterance_id: str
    language: str
    engine: str
    voice: str
    text: str
    said: str
    speed: float
    pitch: float

    @property
    def speaker(self) -> str:
        """Engine and voice, for ``utt2spk``."""
        return speaker_name(self.engine, self.voice)

    @property
    def seconds(self) -> float:
        """How long it will be, about."""
        return (_SECONDS_FOR_A_TEXT + _SECONDS_FOR_A_LETTER * len(self.text)) / self.speed


@dataclass
class Plan:
    """Utterances in the order in which a larger plan begins with them, and what was left out."""

    utterances: list[Planned]
    dropped: dict[str, int] = field(default_factory=dict)
    short: dict[str, float] = field(
        default_factory=dict
    )  # language -> part of the wish that is met


def speaker_name(engine: str, voice: str) -> str:
    """A voice as a speaker of a data directory.

    >>> speaker_name("espeak", "en-us+f2")
    'espeak_en-us-f2'
    """
    return f"{engine}_{re.sub('[^A-Za-z0-9_-]', '-', voice)}"


def _order(sentences: Iterable[str], seed: int, language: str) -> list[str]:
    """Distinct sentences, shuffled by their digests: of more text the same ones come first."""

    def rank(sentence: str) -> bytes:
        return hashlib.sha256(f"{seed} {language} {sentence}".encode()).digest()

    return sorted(dict.fromkeys(sentences), key=rank)


def _reason_to_drop(words: str, entry: SynthesisEntry, excluded: Collection[str]) -> str:
    letters = sum(character.isalpha() for character in words)
    if letters < _MIN_LETTERS:
        return "too short"
    listed = words.split()
    if len(listed) > entry.max_words or len(words) > entry.max_characters:
        return "too long"
    if max(map(len, listed)) > _LONGEST_WORD:
        return "too long"
    return "in a test set" if words in excluded else ""


def _with_pause(said: str, draw: random.Random) -> str:
    """A comma behind one of the words that is neither the last nor followed by a mark.

    >>> _with_pause("one two three four", random.Random(0))
    'one two, three four'
    """
    words = said.split()
    places = [n for n in range(len(words) - 1) if words[n][-1].isalnum()]
    if not places:
        return said
    words[draw.choice(places)] += ","
    return " ".join(words)


def draw_reading(
    words: str, said: str, language: str, reading: int, plan: LanguagePlan, entry: SynthesisEntry
) -> Planned:
    """Draw voice, speed, pitch and pause of one reading of a sentence; depends on it alone.

    Args:
        words: the transcript.
        said: what is spoken, perhaps with punctuation.
        language: its code.
        reading: 0 for the first one.
        plan: who reads the language.
        entry: ranges and seed.
    """
    draw = random.Random(f"{entry.seed} {language} {reading} {words}")
    (readers,) = draw.choices(plan.readers, [one.share for one in plan.readers])
    voice = draw.choice(readers.voices)
    speed, pitch = (round(draw.uniform(*limits), 2) for limits in (entry.speed, entry.pitch))
    if draw.random() < entry.pauses and len(words.split()) > 3:
        said = _with_pause(said, draw)
    name = f"{language} {words} {reading} {readers.engine} {voice} {speed} {pitch} {said}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    speaker = speaker_name(readers.engine, voice)
    key = f"{speaker}_{language}_{digest}"
    return Planned(key, language, readers.engine, voice, words, said, speed, pitch)


def _of_language(
    language: str,
    sentences: Iterable[str],
    plan: LanguagePlan,
    entry: SynthesisEntry,
    excluded: Collection[str],
    dropped: dict[str, int],
) -> Iterator[Planned]:
    """Readings of sentences without end, or until every sentence was read often enough."""
    order = _order(sentences, entry.seed, language)
    usable: dict[str, str] = {}
    for sentence in order:
        try:
            words, said = spoken_words(sentence, language), spell_out(sentence, language)
            reason = "repeated" if words in usable else _reason_to_drop(words, entry, excluded)
        except Dropped as error:
            reason = error.reason
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        usable[words] = said
        yield draw_reading(words, said, language, 0, plan, entry)
    for reading in range(1, entry.readings):
        for words, said in usable.items():
            yield draw_reading(words, said, language, reading, plan, entry)


def plan_speech(
    config: SynthesisConfig,
    texts: Mapping[str, Sequence[str]],
    excluded: Mapping[str, Collection[str]],
) -> Plan:
    """Plan the utterances of all languages.

    Args:
        config: who reads how much.
        texts: sentences by language.
        excluded: transcripts of development and test sets by language, none of which is read.
    """
    plan = Plan([])
    for language, wanted in config.languages.items():
        seconds, count = 0.0, 0
        target = (wanted.hours or 0.0) * 3600
        readings = _of_language(
            language,
            texts[language],
            wanted,
            config.entry,
            {normalize(text, language) for text in excluded.get(language, ())},
            plan.dropped,
        )
        for planned in readings:
            plan.utterances.append(planned)
            seconds, count = seconds + planned.seconds, count + 1
            if seconds >= target if wanted.sentences is None else count >= wanted.sentences:
                break
        else:
            part = seconds / target if wanted.sentences is None else count / wanted.sentences
            plan.short[language] = part
    return plan
