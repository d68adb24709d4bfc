"""Whisper's encoder on inputs of their true length, independent of batch mates.

Whisper was trained on 30 s windows, filled up with silence. Running it so costs ten times the work
for a three-second prompt; here the convolutions run on the true length (plus half a second of
silence, which keeps the end of speech intact), position embeddings are cut to it and attention is
masked. An utterance's frames are the same alone and in any batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.pretrained import load_pretrained
from espnet_otreg.slm.encoders.network import SpeechNetwork

SAMPLE_RATE = 16000
_FFT_SIZE = 400
_HOP = 160
_DYNAMIC_RANGE = 8.0  # in log10: what lies further below the utterance's maximum is clamped
# What a published file may hold beside the encoder.
_BESIDE_ENCODER = (r"^(model\.)?decoder\.", r"^(proj_out|projector|classifier|layer_weights)\b")


class LogMel(nn.Module):
    """Whisper's log-mel spectrogram of one waveform: ``(N,)`` samples to ``(mels, frames)``.

    ``max(log10 mel, maximum - 8) / 4 + 1`` with 10 ms frames. The maximum is the utterance's own,
    so utterances are computed one by one: never with the maximum of a batch.

    >>> LogMel(80)(torch.zeros(1600)).shape
    torch.Size([80, 10])
    """

    def __init__(self, mel_bins: int) -> None:
        super().__init__()
        from transformers import WhisperFeatureExtractor

        filters = WhisperFeatureExtractor(feature_size=mel_bins).mel_filters
        self.register_buffer("filters", torch.tensor(filters.T).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(_FFT_SIZE), persistent=False)

    filters: Tensor
    window: Tensor

    def forward(self, waveform: Tensor) -> Tensor:
        """``(N,)`` samples at 16 kHz to ``(mels, frames)``."""
        frames = max(1, len(waveform) // _HOP)
        # The transform reflects half a window at both ends, which a shorter waveform cannot give.
        missing = _FFT_SIZE - len(waveform)
        if missing > 0:
            waveform = nn.functional.pad(waveform, (0, missing))
        spectrum = torch.stft(
            waveform.float(), _FFT_SIZE, _HOP, window=self.window, return_complex=True
        )
        power = spectrum[:, :frames].abs().square()
        log_mel = (self.filters @ power).clamp(min=1e-10).log10()
        return (torch.maximum(log_mel, log_mel.max() - _DYNAMIC_RANGE) + 4.0) / 4.0


def load_whisper_encoder(model: str) -> Any:  # transformers types its modules loosely
    """The encoder of a local directory or a hub name, in fp32.

    The files may hold the whole model, the encoder alone, or an encoder with a classifier.

    Raises:
        UserError: if no Whisper model can be loaded from there.
    """
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Encoder

    return load_pretrained(
        Encoder,
        model,
        "Whisper model",
        unused=_BESIDE_ENCODER,
        key_mapping={r"^(model\.)?encoder\.": ""},
        dtype=torch.float32,
    )


def check_layer(layer: int, layers: int, model: str) -> None:
    """Raise if an encoder has no layer of this number.

    Args:
        layer: 0 stands before the first one.
        layers: that the encoder has.
        model: for the message.

    Raises:
        UserError: in that case.

    >>> check_layer(6, 6, "whisper-base")
    """
    if not 0 <= layer <= layers:
        raise UserError(f"layer {layer} of an encoder with {layers}", model, f"give 0 to {layers}")


class WhisperEncoder(SpeechNetwork):
    """The encoder of a Whisper model on waveforms of any length up to 30 s.

    Args:
        model: a local Hugging Face directory or a hub name.
        trailing_silence: seconds appended to each utterance (fewer where 30 s would be passed).
        layer: the frames are the hidden state behind so many layers, without the final norm; by
            default the encoder's output.

    Raises:
        UserError: if no Whisper model can be loaded from there, or it has fewer layers.
    """

    def __init__(self, model: str, trailing_silence: float = 0.5, layer: int | None = None) -> None:
        super().__init__()
        self.encoder = load_whisper_encoder(model)
        if layer is not None:
            check_layer(layer, len(self.encoder.layers), model)
            del self.encoder.layers[layer:]
            self.encoder.layer_norm = nn.Identity()
        self.trailing_samples = round(trailing_silence * SAMPLE_RATE)
        config = self.encoder.config
        self.log_mel = LogMel(config.num_mel_bins)
        self.max_samples = config.max_source_positions * 2 * _HOP

    @property
    def output_size(self) -> int:
        """Dimension of a frame."""
        return int(self.encoder.config.d_model)

    @property
    def frame_seconds(self) -> float:
        """Duration of a frame: two hops of the spectrogram."""
        return 2 * _HOP / SAMPLE_RATE

    def forward(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode waveforms.

        Args:
            speech: (B, N) samples at 16 kHz in [-1, 1]; what lies behind ``lengths`` is ignored.
            lengths: (B,) samples of each utterance.

        Returns:
            (B, T, D) frames of 20 ms with exact zeros on padding, and (B,) their numbers.

        Raises:
            UserError: if an utterance is empty or longer than 30 s.
        """
        mels = [
            self._mel(row[:length]) for row, length in zip(speech, lengths.tolist(), strict=True)
        ]
        mel_lengths = torch.tensor([mel.shape[-1] for mel in mels], device=speech.device)
        # Zeros stand behind each utterance, as the convolution's own padding would put them.
        batch = nn.utils.rnn.pad_sequence([mel.T for mel in mels], batch_first=True)
        return self._encode(batch.transpose(1, 2), mel_lengths)

    def _mel(self, waveform: Tensor) -> Tensor:
        seconds = len(waveform) / SAMPLE_RATE
        if not len(waveform):
            raise UserError("an utterance has no samples", mend="remove it")
        if len(waveform) > self.max_samples:
            raise UserError(
                f"an utterance lasts {seconds:.1f} s, but Whisper takes at most "
                f"{self.max_samples / SAMPLE_RATE:.0f} s",
                mend="cut or remove it",
            )
        silence = min(self.trailing_samples, self.max_samples - len(waveform))
        return self.log_mel(nn.functional.pad(waveform, (0, silence)))

    def _encode(self, mels: Tensor, mel_lengths: Tensor) -> tuple[Tensor, Tensor]:
        encoder, config = self.encoder, self.encoder.config
        hidden = nn.functional.gelu(encoder.conv1(mels.to(encoder.conv1.weight.dtype)))
        # conv1 has written values next to each utterance's end, which conv2 must not see.
        inside = torch.arange(mels.shape[-1], device=mels.device) < mel_lengths[:, None]
        hidden = nn.functional.gelu(encoder.conv2(hidden * inside[:, None]))
        hidden = hidden.transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        hidden = nn.functional.dropout(hidden, config.dropout, self.training)
        lengths = (mel_lengths + 1) // 2
        mask = torch.arange(hidden.shape[1], device=mels.device) < lengths[:, None]
        for layer in encoder.layers:
            hidden = layer(hidden, attention_mask=mask[:, None, None, :])
        return encoder.layer_norm(hidden) * mask[:, :, None], lengths
