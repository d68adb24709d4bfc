"""From classes of the CTC read-out to tokens of the LLM to text, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from espnet_otreg.errors import UserError
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.prompt import encode_transcript
from espnet_otreg.slm.readout import TokenReadout


def no_readout() -> UserError:
    """What a mode that reads by CTC says to a model that cannot."""
    return UserError(
        "this model has no token classes, so nothing can be read by CTC",
        "readout_conf.classes",
        "decode with mode llm",
    )


class TokenMaps:
    """The maps of one model.

    Args:
        model: gives tokenizer and read-out.
    """

    def __init__(self, model: SpokenLanguageModel) -> None:
        self._tokenizer = model.llm.tokenizer
        self._readout = model.readout

    @property
    def readout(self) -> TokenReadout:
        """The CTC read-out.

        Raises:
            UserError: if the model has none.
        """
        if self._readout is None:
            raise no_readout()
        return self._readout

    @cached_property
    def _ids_of_classes(self) -> list[int]:
        ids: list[int] = self.readout.class_ids.tolist()
        return ids

    @cached_property
    def _classes_of_ids(self) -> list[int]:
        classes: list[int] = self.readout.class_of.tolist()
        return classes

    def tokens_of(self, classes: Iterable[int]) -> tuple[int, ...]:
        """Token ids of CTC classes."""
        return tuple(self._ids_of_classes[c] for c in classes)

    def classes_of(self, token_ids: Iterable[int]) -> list[int]:
        """CTC classes of tokens; 0 or less for a token that CTC cannot spell."""
        return [self._classes_of_ids[token] for token in token_ids]

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Detokenised text without special tokens."""
        text: str = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text.strip()

    def canonical(self, text: str) -> tuple[int, ...]:
        """The tokens that the tokenizer makes of a text, as training has shown them."""
        return tuple(encode_transcript(self._tokenizer, text)) if text else ()
