"""Our encoders as ESPnet sees them."""

from __future__ import annotations

from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.slm.encoders.network import SpeechNetwork


class PrecomputedEncoder(AbsEncoder):
    """Features made beforehand by a frozen encoder (stage 4), passed on as they are.

    Args:
        input_size: D of the features.
        frame_seconds: duration of one frame.

    >>> import torch
    >>> encoder = PrecomputedEncoder(512, 0.02)
    >>> encoder(torch.zeros(1, 7, 512), torch.tensor([7]))[0].shape
    torch.Size([1, 7, 512])
    """

    def __init__(self, input_size: int, frame_seconds: float) -> None:
        super().__init__()
        self.input_size = input_size
        self.frame_seconds = frame_seconds

    def output_size(self) -> int:
        """D of the features."""
        return self.input_size

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, T, D) and (B,) as they came.

        Raises:
            UserError: if D is not what the model was trained with.
        """
        if xs_pad.size(-1) != self.input_size:
            raise UserError(
                f"features have {xs_pad.size(-1)} dimensions, the model expects {self.input_size}",
                "feats.scp",
                "extract them with the encoder that the model was trained with",
            )
        return xs_pad, ilens, None


class PretrainedEncoder(AbsEncoder):
    """A pretrained network on waveforms of their true length.

    Args:
        name: the attribute that holds the network, hence part of the names of its weights.
        network: the network.
    """

    def __init__(self, name: str, network: SpeechNetwork) -> None:
        super().__init__()
        self._name = name
        self.add_module(name, network)

    @property
    def _network(self) -> SpeechNetwork:
        network = self.get_submodule(self._name)
        assert isinstance(network, SpeechNetwork)
        return network

    @property
    def frame_seconds(self) -> float:
        """Duration of one frame."""
        return self._network.frame_seconds

    @property
    def max_samples(self) -> int:
        """The most samples that an utterance may have."""
        return self._network.max_samples

    def output_size(self) -> int:
        """D of the frames."""
        return self._network.output_size

    def forward(
        self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, N) waveforms to (B, T, D) frames and their numbers."""
        frames, lengths = self._network(xs_pad, ilens)
        return frames, lengths, None
