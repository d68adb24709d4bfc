"""From the lines of a data directory to the numbers of a training batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from espnet2.train.preprocessor import AbsPreprocessor

from espnet_otreg.errors import UserError
from espnet_otreg.slm.prompt import encode_transcript, load_tokenizer

_REMEMBERED = 100_000  # transcripts; every epoch reads them again


class SLMPreprocessor(AbsPreprocessor):
    """Tokenises transcripts with the LLM's tokenizer and spells out the language's name.

    Args:
        train: whether the data is for training (ESPnet's convention).
        llm: local directory or hub name of the LLM.
        transcripts: names of the data that hold text.
    """

    def __init__(self, train: bool, llm: str, transcripts: Sequence[str] = ("text",)) -> None:
        super().__init__(train)
        self.transcripts = tuple(transcripts)
        self.tokenizer = load_tokenizer(llm)
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """One utterance: speech as it is, transcripts as token ids, ``language`` as code points.

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
        for name in self.transcripts:
            if name in data:
                result[name] = self._encode(data[name])
                if not result[name].size:
                    what = "the transcript" if name == "text" else f"the transcript {name!r}"
                    raise UserError(f"{what} is empty", uid, "remove the utterance")
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
