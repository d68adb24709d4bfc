"""What the rest of the program asks about a speech encoder. Importing this loads no torch."""

from __future__ import annotations

import abc
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from espnet_otreg.config import not_negative

if TYPE_CHECKING:
    from espnet2.asr.encoder.abs_encoder import AbsEncoder

    from espnet_otreg.slm.encoders.network import SpeechNetwork


class EncoderConfig(abc.ABC):
    """The configuration of one kind of encoder, which answers all that depends on the kind.

    Attributes:
        reads_features: whether the model reads features (T, D) made beforehand; else samples (N,).
        has_language_tokens: whether the model that the encoder belongs to can tell languages.
        recorded: which of its fields are noted from the ``feats.json`` of the training features.
        frozen: whether it stays as it is unless ``train`` names weights of it.
        pretrained: directory or hub name of the pretrained model that it is made of, or None.
        pretrained_prefix: what the names of that model's weights begin with in a checkpoint, which
            holds only those of them that were trained; None if nothing is pretrained.
    """

    reads_features: ClassVar[bool] = False
    has_language_tokens: ClassVar[bool] = False
    recorded: ClassVar[tuple[str, ...]] = ()
    frozen: ClassVar[bool] = False
    pretrained_prefix: ClassVar[str | None] = None

    @property
    def pretrained(self) -> str | None:
        """Directory or hub name of the pretrained model that it is made of, or None."""
        return None

    def longest_samples(self) -> int:
        """The most samples at 16 kHz that it takes; ``sys.maxsize`` if any number.

        Raises:
            UserError: if that stands in a model which is not there.
        """
        return sys.maxsize

    @abc.abstractmethod
    def build(self, input_size: int | None) -> AbsEncoder:
        """The encoder, with the weights of its pretrained model if it has one.

        Args:
            input_size: D of a frontend's output, where there is a frontend.

        Raises:
            UserError: if it cannot be built.
        """

    def feature_errors(self, facts: Mapping[str, Any]) -> list[str]:
        """Why it cannot read features that were made as ``feats.json`` says."""
        return []

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return []


@dataclass(frozen=True)
class PretrainedEncoderConfig(EncoderConfig):
    """An encoder with the weights of a Hugging Face model, which reads waveforms.

    Attributes:
        model: local directory or hub name.
        trailing_silence: seconds of silence appended to each utterance.
        model_types: ``model_type`` in the ``config.json`` of the models that it is made for.
        network_name: the attribute of the encoder that holds the pretrained network.
    """

    model: str
    trailing_silence: float = 0.0

    model_types: ClassVar[tuple[str, ...]] = ()
    network_name: ClassVar[str]
    frozen: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        cls.pretrained_prefix = f"encoder.{cls.network_name}."

    @property
    def pretrained(self) -> str:
        """Directory or hub name of the pretrained model."""
        return self.model

    @abc.abstractmethod
    def load_network(self) -> SpeechNetwork:
        """The network alone, in float32 and evaluation mode, which needs no ESPnet.

        Raises:
            UserError: if no such model can be loaded from there.
        """

    def build(self, input_size: int | None) -> AbsEncoder:
        """See :meth:`EncoderConfig.build`."""
        from espnet_otreg.slm.encoders.modules import PretrainedEncoder

        return PretrainedEncoder(self.network_name, self.load_network())

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return not_negative(trailing_silence=self.trailing_silence)
