"""``encoder: hf_whisper``: the encoder of a Whisper model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from espnet_otreg.config import not_negative
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.directory import model_directory
from espnet_otreg.slm.encoders.base import PretrainedEncoderConfig

if TYPE_CHECKING:
    from espnet_otreg.slm.encoders.network import SpeechNetwork

_SAMPLES_PER_POSITION = 320  # 20 ms


@dataclass(frozen=True)
class WhisperConfig(PretrainedEncoderConfig):
    """A Whisper encoder from a local directory or the hub, fed with waveforms of up to 30 s."""

    trailing_silence: float = 0.5  # seconds; Whisper was trained with padded ends
    layer: int | None = None  # frames behind this layer (0: before the first); else the final ones

    model_types: ClassVar[tuple[str, ...]] = ("whisper",)
    network_name: ClassVar[str] = "whisper"
    has_language_tokens: ClassVar[bool] = True

    def longest_samples(self) -> int:
        """The most samples that its position embeddings reach.

        Raises:
            UserError: if the model is not there or is no Whisper.
        """
        config = read_json(model_directory(self.model) / "config.json")
        if config.get("model_type") not in self.model_types:
            raise UserError(
                f"a model of type {config.get('model_type')}", self.model, "give a Whisper model"
            )
        return int(config["max_source_positions"]) * _SAMPLES_PER_POSITION

    def load_network(self) -> SpeechNetwork:
        """See :meth:`PretrainedEncoderConfig.load_network`."""
        from espnet_otreg.slm.encoders.whisper_network import WhisperEncoder

        return WhisperEncoder(self.model, self.trailing_silence, self.layer)

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return super().validate() + not_negative(layer=self.layer or 0)
