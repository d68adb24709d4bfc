"""Small data directories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def write_data_dir(directory: Path, seconds: list[float], language: str = "it") -> Path:
    """A data directory of noise bursts, one utterance per duration."""
    (directory / "wavs").mkdir(parents=True)
    rng = np.random.default_rng(0)
    tables: dict[str, list[str]] = {
        name: [] for name in ("wav.scp", "text", "utt2lang", "utt2spk", "utt2domain", "utt2dur")
    }
    for number, duration in enumerate(seconds):
        key = f"{language}_core_a_{number:03d}"
        wav = directory / "wavs" / f"{key}.wav"
        samples = 0.1 * rng.standard_normal(round(duration * 16000))
        soundfile.write(wav, samples, 16000, subtype="PCM_16")
        tables["wav.scp"].append(f"{key} {wav}")
        tables["text"].append(f"{key} parola numero {number}")
        tables["utt2lang"].append(f"{key} {language}")
        tables["utt2spk"].append(f"{key} {language}_core_a")
        tables["utt2domain"].append(f"{key} core_sounds")
        tables["utt2dur"].append(f"{key} {duration:.3f}")
    for name, lines in tables.items():
        (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory
