"""A feature directory whose frames can be learnt: a fixed random walk for every sentence."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_llm import SENTENCES

DIM = 16


def write_features(directory: Path, copies: int = 2, seed: int = 0) -> Path:
    """feats.scp, feats.json, text and utt2lang; ``copies`` noisy utterances of each sentence."""
    import kaldiio
    import numpy as np

    directory.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    rows = sorted(
        (f"{language}_tiny_a_{n}{copy}", sentence, language)
        for language, sentences in SENTENCES.items()
        for n, sentence in enumerate(sentences)
        for copy in range(copies)
    )
    with kaldiio.WriteHelper(f"ark,scp:{directory}/feats.ark,{directory}/feats.scp") as writer:
        for key, sentence, _ in rows:
            clean = np.random.default_rng(len(sentence)).standard_normal((4 * len(sentence), DIM))
            noisy = clean + 0.1 * noise.standard_normal(clean.shape)
            writer(key, noisy.astype(np.float32))
    (directory / "text").write_text("".join(f"{key} {text}\n" for key, text, _ in rows))
    (directory / "utt2lang").write_text("".join(f"{key} {name}\n" for key, _, name in rows))
    (directory / "utt2spk").write_text("".join(f"{key} {name}_tiny_a\n" for key, _, name in rows))
    (directory / "utt2domain").write_text("".join(f"{key} tiny\n" for key, _, _ in rows))
    (directory / "feats.json").write_text(json.dumps({"dim": DIM, "frame_seconds": 0.02}))
    return directory
