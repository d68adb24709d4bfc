"""Italian by a synthetic voice (SVOX Pico): there is no free real out-of-domain set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import Utterance, replace_directory, write_data_dir
from espnet_otreg.data.pico_speaker import ZEROED_MEMORY
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.transcripts import Dropped, spell_out
from espnet_otreg.data.tuxpaint import described_words, read_description, stamp_id
from espnet_otreg.errors import UserError
from espnet_otreg.files import sha256_file

VOICE = "it-IT"
# The voice decides what the test set sounds like, so it is pinned like every archive.
VOICE_FILES = {
    "it-IT_ta.bin": "9b243c3470660293691d0d4e000901d7c5d0fa71976b33986e92e93a860ade33",
    "it-IT_cm0_sg.bin": "c48be4dc1f5a3c77a3dc4c8a457949b69bc433d674fac4fac91d49c01770e7e4",
}


def _check_voice() -> None:
    """Raise UserError unless the voice of py-nanotts is the pinned one."""
    try:
        import py_nanotts
    except ImportError as error:
        raise UserError(
            "the speech synthesiser py-nanotts is not installed", mend="pip install py-nanotts"
        ) from error
    folder = Path(py_nanotts.__file__).parent / "lang"
    for name, sha256 in VOICE_FILES.items():
        if sha256_file(folder / name) != sha256:
            raise UserError(
                "not the pinned voice file", str(folder / name), "pip install py-nanotts==0.1.1"
            )


def synthesize(texts: dict[str, str], jobs: int = 2) -> None:
    """Read texts aloud into 16 kHz WAV files, the same samples every time.

    Args:
        texts: path of the WAV file -> text.
        jobs: processes, see :mod:`espnet_otreg.data.pico_speaker`.

    Raises:
        UserError: if the synthesiser fails.
    """
    lines = [json.dumps({"text": t, "path": p, "voice": VOICE}) + "\n" for p, t in texts.items()]
    command = [sys.executable, "-m", "espnet_otreg.data.pico_speaker"]

    def speak(share: list[str]) -> None:
        run = subprocess.run(
            command,
            input="".join(share),
            env={**os.environ, **ZEROED_MEMORY},
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            last = run.stderr.strip().splitlines()[-1:] or ["killed"]
            raise UserError("speech synthesis failed", last[0], "pip install py-nanotts==0.1.1")

    with ThreadPoolExecutor(jobs) as threads:
        list(threads.map(speak, [lines[job::jobs] for job in range(jobs)]))


def prepare_pico_synthetic(
    corpus_dir: str | Path, output_dir: str | Path, language: str
) -> PrepLog:
    """Synthesise the Italian descriptions of Tux Paint and make their data directory.

    Args:
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
    _check_voice()
    log = PrepLog("pico_synthetic", language)
    speaker = "it_pico_cm0"
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
        utterance_id = f"{speaker}_{stamp}"
        spelled[utterance_id] = spell_out(raw, language)
        path = str(audio_dir / f"{utterance_id}.wav")
        utterances.append(
            Utterance(utterance_id, path, words, raw, language, speaker, "pico_synthetic")
        )
    with replace_directory(audio_dir) as fresh:
        synthesize({str(fresh / f"{key}.wav"): text for key, text in spelled.items()})
    log.seconds = sum(audio_seconds(utterance.wav) for utterance in utterances)
    log.kept = len(utterances)
    write_data_dir(output_dir, utterances)
    log.write(output_dir)
    return log
