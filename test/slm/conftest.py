"""Small data directories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
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


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return write_data_dir(tmp_path / "data", [0.3, 1.0, 0.05, 2.1, 0.7])


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny random LLM."""
    from tiny_llm import build_tiny_llm

    return build_tiny_llm(tmp_path_factory.mktemp("models") / "tiny-llm")


@pytest.fixture(scope="session")
def tiny_classes(tiny_llm: Path) -> Path:
    """classes.json over everything that the tiny tokenizer's sentences use."""
    import json

    from tiny_llm import SENTENCES

    from espnet_otreg.slm.prompt import encode_transcript, load_tokenizer

    tokenizer = load_tokenizer(str(tiny_llm))
    texts = [text for texts in SENTENCES.values() for text in texts]
    ids = sorted({i for text in texts for i in encode_transcript(tokenizer, text)})
    path = tiny_llm / "classes.json"
    path.write_text(json.dumps({"token_ids": ids, "anchor_token_id": tokenizer.pad_token_id}))
    return path
