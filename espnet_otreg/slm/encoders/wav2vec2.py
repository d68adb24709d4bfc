"""``encoder: hf_wav2vec2``: wav2vec 2.0 (XLS-R) and w2v-BERT 2.0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from espnet_otreg.slm.encoders.base import PretrainedEncoderConfig

if TYPE_CHECKING:
    from espnet_otreg.slm.encoders.network import SpeechNetwork


@dataclass(frozen=True)
class Wav2Vec2Config(PretrainedEncoderConfig):
    """A wav2vec 2.0 (XLS-R) or w2v-BERT 2.0 model, fed with waveforms of any length."""

    model_types: ClassVar[tuple[str, ...]] = ("wav2vec2", "wav2vec2-bert")
    network_name: ClassVar[str] = "wav2vec2"

    def load_network(self) -> SpeechNetwork:
        """See :meth:`PretrainedEncoderConfig.load_network`."""
        from espnet_otreg.slm.encoders.wav2vec2_network import Wav2Vec2Encoder

        return Wav2Vec2Encoder(self.model, self.trailing_silence)
