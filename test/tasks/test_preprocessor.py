"""What a line of a data directory becomes before it is put into a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_llm import build_tiny_llm

from espnet_otreg.errors import UserError
from espnet_otreg.slm.prompt import encode_transcript
from espnet_otreg.tasks import preprocessor
from espnet_otreg.tasks.preprocessor import SLMPreprocessor


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("llm")
    build_tiny_llm(directory)
    return str(directory)


def test_a_transcript_is_encoded_once_and_always_the_same(
    llm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def encode(tokenizer: Any, text: str) -> list[int]:
        asked.append(text)
        return encode_transcript(tokenizer, text)

    monkeypatch.setattr(preprocessor, "encode_transcript", encode)
    monkeypatch.setattr(preprocessor, "_REMEMBERED", 2)
    process = SLMPreprocessor(True, llm)
    texts = ["uno due", "tre", "quattro", "uno due", "tre", "quattro"]
    for text in texts:
        ids = process("utterance", {"text": text})["text"]
        assert ids.dtype == np.int64
        assert ids.tolist() == encode_transcript(process.tokenizer, text)
    assert asked == [*texts[:3], "quattro"]  # memory is bounded: the third one is not remembered


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"text": ""}, "the transcript is empty"),
        ({"speech": np.zeros((0, 2))}, "the utterance has no speech"),
        ({"speech": np.array([0.0, np.nan])}, "the speech contains NaN or infinity"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(
    llm: str, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"it_7: {message}"):
        SLMPreprocessor(True, llm)("it_7", data)
