"""From the lines of a data directory to the numbers of a training batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from espnet2.train.preprocessor import AbsPreprocessor

from espnet_otreg.errors import UserError
from espnet_otreg.slm.prompt import encode_transcript, load_tokenizer

_REMEMBERED = 100_000  # transcripts; every epoch reads them again


class SLMPreprocessor(AbsPreprocessor):
    """Tokenises the transcript with the LLM's tokenizer and spells out the language's name.

    Args:
        train: whether the data is for training (ESPnet's convention).
        llm: local directory or hub name of the LLM.
    """

    def __init__(self, train: bool, llm: str) -> None:
        super().__init__(train)
        self.tokenizer = load_tokenizer(llm)
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """One utterance: speech as it is, ``text`` as token ids, ``language`` as code points.

        Raises:
            UserError: if speech or transcript is empty or not finite, naming the utterance.
        """
        result: dict[str, np.ndarray] = dict(data)
        if "speech" in data:
            speech = np.asarray(data["speech"])
            if speech.size == 0:
                raise UserError("the utterance has no speech", uid, "remove it")
            if not np.isfinite(speech).all():
                raise UserError("the speech contains NaN or infinity", uid, "make it again")
            result["speech"] = speech.astype(np.float32, copy=False)
        if "text" in data:
            result["text"] = self._encode(data["text"])
            if not result["text"].size:
                raise UserError("the transcript is empty", uid, "remove the utterance")
        if "language" in data:
            result["language"] = np.asarray([ord(c) for c in data["language"]], dtype=np.int64)
        return result

    def _encode(self, text: str) -> np.ndarray:
        ids = self._known.get(text)
        if ids is None:
            ids = np.asarray(encode_transcript(self.tokenizer, text), dtype=np.int64)
            if len(self._known) < _REMEMBERED:
                self._known[text] = ids
        return ids
