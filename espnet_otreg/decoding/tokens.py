"""From classes of the CTC read-out to tokens of the LLM to text, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.prompt import encode_transcript
from espnet_otreg.slm.readout import TokenReadout

# A token that CTC has no class for (it is not in the training text) counts as a rare one, so
# that one such token does not forbid a whole transcript.
UNKNOWN_TOKEN = -12.0


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

    @cached_property
    def without_class(self) -> Tensor:
        """(V,) booleans: the LLM's tokens of text that CTC cannot spell."""
        found = self.readout.class_of < 0
        found[len(self._tokenizer) :] = False
        found[[token for token in self._tokenizer.all_special_ids if token < len(found)]] = False
        return found

    @cached_property
    def begins_word(self) -> list[bool]:
        """Of every class whether a word begins with it, as behind another token of text."""
        ids = self._ids_of_classes
        texts = ((self._tokenizer.decode([i]), i) for i in ids[1:])
        before, first = next((text.strip(), i) for text, i in texts if text.strip().isalpha())
        pairs = (self._tokenizer.decode([first, i]).lstrip(" ") for i in ids)
        return [pair[len(before) :].startswith(" ") for pair in pairs]

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
