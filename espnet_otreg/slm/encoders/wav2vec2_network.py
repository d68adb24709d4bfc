"""wav2vec 2.0 (XLS-R) and w2v-BERT 2.0 on inputs of their true length, independent of batch mates.

Both mask padding themselves, if they are told where it is. What would still make an utterance
depend on its batch mates is refused or left out: a normalisation over time of the padded batch,
and the random masks and skipped layers of their own pretraining (SpecAugment is ESPnet's here).
"""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.directory import model_directory
from espnet_otreg.models_offline.pretrained import load_pretrained, reading
from espnet_otreg.slm.encoders.network import SpeechNetwork

SAMPLE_RATE = 16000
_HOP = 160  # of w2v-BERT's filter bank
# Of pretraining and of models for a task: heads, quantisers, and the embedding of masked frames.
_UNUSED = (
    r"masked_spec_embed$",
    r"^(lm_head|quantizer|project_hid|project_q|projector|classifier|layer_weights|tdnn|objective)\b",
    r"^feature_extractor\.(weight|bias)$",
)
_SHORTEST = 720  # samples that give at least one frame of 20 ms, and two of 10 ms to normalise


def _load(model: str) -> tuple[Any, Any]:  # transformers types its modules loosely
    """Feature extractor and encoder of a local directory or a hub name, in fp32."""
    from transformers import (
        AutoConfig,
        AutoFeatureExtractor,
        AutoModel,
        Wav2Vec2BertConfig,
        Wav2Vec2Config,
    )

    directory = model_directory(model)
    with reading("speech encoder", model):
        config = AutoConfig.from_pretrained(directory)
        if not isinstance(config, Wav2Vec2Config | Wav2Vec2BertConfig):
            raise UserError(
                f"a model of type {config.model_type}",
                model,
                "this encoder takes wav2vec 2.0 or w2v-BERT 2.0",
            )
        if getattr(config, "feat_extract_norm", "layer") != "layer" or config.add_adapter:
            raise UserError(
                "its first layer normalises over time, or it has an adapter of its own, so an "
                "utterance would depend on the padding",
                model,
                "take a model like XLS-R, with feat_extract_norm 'layer' and no adapter",
            )
        config.update({"apply_spec_augment": False, "layerdrop": 0.0})
        extractor = AutoFeatureExtractor.from_pretrained(directory)
    return extractor, load_pretrained(
        AutoModel, model, "speech encoder", unused=_UNUSED, config=config, dtype=torch.float32
    )


class Wav2Vec2Encoder(SpeechNetwork):
    """A wav2vec 2.0 or w2v-BERT 2.0 model on waveforms of any length.

    Args:
        model: a local Hugging Face directory or a hub name.
        trailing_silence: seconds appended to each utterance.

    Raises:
        UserError: if no such model can be loaded from there, or padding would reach speech.
    """

    max_samples = sys.maxsize  # positions are relative

    def __init__(self, model: str, trailing_silence: float = 0.0) -> None:
        super().__init__()
        self.extractor, self.encoder = _load(model)
        self.trailing_samples = round(trailing_silence * SAMPLE_RATE)

    @property
    def output_size(self) -> int:
        """Dimension of a frame."""
        return int(self.encoder.config.hidden_size)

    @property
    def frame_seconds(self) -> float:
        """Duration of a frame: the strides of the convolutions, or of the filter bank."""
        strides = getattr(self.encoder.config, "conv_stride", None)
        samples = math.prod(strides) if strides else _HOP * self.extractor.stride
        return samples / SAMPLE_RATE

    def train(self, mode: bool = True) -> Wav2Vec2Encoder:
        """Training mode, dropout included, only where there is something to train."""
        super().train(mode and any(p.requires_grad for p in self.parameters()))
        return self

    def forward(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode waveforms.

        Args:
            speech: (B, N) samples at 16 kHz in [-1, 1]; what lies behind ``lengths`` is ignored.
            lengths: (B,) samples of each utterance.

        Returns:
            (B, T, D) frames with exact zeros on padding, and (B,) their numbers.

        Raises:
            UserError: if an utterance is empty.
        """
        waveforms = []
        for row, length in zip(speech, lengths.tolist(), strict=True):
            if not length:
                raise UserError("an utterance has no samples", mend="remove it")
            silence = max(self.trailing_samples, _SHORTEST - length)
            waveforms.append(nn.functional.pad(row[:length].float(), (0, silence)).cpu().numpy())
        extracted = self.extractor(
            waveforms,
            sampling_rate=SAMPLE_RATE,
            padding=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        dtype = next(self.encoder.parameters()).dtype
        values = extracted[self.encoder.main_input_name].to(speech.device, dtype)
        real = extracted["attention_mask"].to(speech.device)
        hidden = self.encoder(values, attention_mask=real).last_hidden_state
        frames = self.encoder._get_feat_extract_output_lengths(real.sum(dim=1)).long()
        hidden = hidden[:, : int(frames.max())]
        inside = torch.arange(hidden.size(1), device=hidden.device) < frames[:, None]
        # What stands on padding may be anything, NaN included.
        return hidden.masked_fill(~inside[..., None], 0.0), frames
