"""Whisper's upper layers on the hidden states that its lower ones have given beforehand.

The lower layers stay frozen, so they run once and not in every epoch (stage 4). What is above them
can be trained for little: of Whisper base, two of six layers cost a third of a pass.
"""

from __future__ import annotations

from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.slm.embeddings import mask_from_lengths
from espnet_otreg.slm.encoders.whisper_network import check_layer, load_whisper_encoder

_FRAME_SECONDS = 0.02


class WhisperUpperEncoder(AbsEncoder):
    """The layers of a Whisper encoder from one on, and its final norm.

    Args:
        model: a local Hugging Face directory or a hub name.
        first: layers that have run before; the features are the hidden state behind them.
        trained: last layers that learn, with the final norm; None for all that are here.
        dropout: on what each layer adds, in training.

    Raises:
        UserError: if no Whisper model can be loaded from there, or it has fewer layers.
    """

    frame_seconds = _FRAME_SECONDS

    def __init__(
        self, model: str, first: int, trained: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        encoder = load_whisper_encoder(model)
        check_layer(first, len(encoder.layers), model)
        layers = list(encoder.layers[first:])
        for layer in layers:
            layer.dropout = dropout
        count = len(layers) if trained is None else trained
        if count > len(layers):
            raise UserError(
                f"{count} layers to train, but {len(layers)} above layer {first}",
                "encoder_conf.trained",
                "give a smaller number, or features of a lower layer",
            )
        self.fixed = nn.ModuleList(layers[: len(layers) - count])
        self.tuned = nn.ModuleList(layers[len(layers) - count :])
        self.norm = encoder.layer_norm
        self.fixed.requires_grad_(False)
        self.norm.requires_grad_(count > 0)
        self._size = int(encoder.config.d_model)

    def output_size(self) -> int:
        """D of the frames."""
        return self._size

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, T, D) hidden states and their numbers (B,) to as many frames, zeros on padding.

        Raises:
            UserError: if D is not the model's.
        """
        if xs_pad.size(-1) != self._size:
            raise UserError(
                f"features have {xs_pad.size(-1)} dimensions, the model expects {self._size}",
                "feats.scp",
                "extract them with the encoder that the model was trained with",
            )
        inside = mask_from_lengths(ilens, xs_pad.size(1))
        hidden = xs_pad.to(self.norm.weight.dtype)
        for layer in (*self.fixed, *self.tuned):
            hidden = layer(hidden, attention_mask=inside[:, None, None, :])
        return self.norm(hidden) * inside[..., None], ilens, None
