"""A model that turns batches of speech into hypotheses, in every mode of decoding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from espnet_otreg.decoding.context import DecodingContext
from espnet_otreg.decoding.encoded import EncodedSpeech, SpeechBatch
from espnet_otreg.decoding.modes.base import Found, Mode


class Recognizer(DecodingContext):
    """Decodes with a trained model, and leaves it as it was.

    Its adapter is merged for as long as a call takes, unless somebody has merged it for longer
    (:meth:`espnet_otreg.slm.llm.LLM.merged`).

    Args:
        model: in evaluation mode.
        batch_size: utterances that the LLM goes on with together in greedy decoding.
    """

    @torch.inference_mode()
    def __call__(
        self, batches: Iterable[SpeechBatch], modes: Mapping[str, Mode]
    ) -> dict[str, Found]:
        """Decode several batches, whose utterances take each other's places as they end.

        Args:
            batches: read one after the other; best sorted by length.
            modes: by name, without those that take another's hypotheses.

        Returns:
            For each mode and utterance what the mode gives: hypotheses, best first, or candidates.

        Raises:
            UserError: if a mode needs the CTC read-out and the model has none.
        """
        with self.model.llm.merged():
            encoded = EncodedSpeech(self, batches)
            return {name: mode.run(self, encoded) for name, mode in modes.items()}
