"""A tiny LLM and its token classes."""

from __future__ import annotations

from pathlib import Path

import pytest


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
