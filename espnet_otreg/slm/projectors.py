"""From encoder frames to the LLM's embedding space, at a lower frame rate."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espnet_otreg.precision import working_dtype
from espnet_otreg.slm.embeddings import mask_from_lengths
from espnet_otreg.slm.frames import sinusoidal_positions, stack_frames
from espnet_otreg.slm.projector_config import (
    StackMLPConfig,
    StackTransformerConfig,
    StridedConvolutionConfig,
    WindowQFormerConfig,
)
from espnet_otreg.slm.qformer import WindowQFormer


class _Block(nn.Module):
    """Pre-norm self-attention and feed-forward, blind to padding."""

    def __init__(self, config: StackTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.dropout = config.dropout
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(config.dropout),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, frames, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, frames, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None, :], dropout_p=dropout
        )
        attended = self.out(attended.transpose(1, 2).reshape(batch, frames, width))
        x = x + F.dropout(attended, self.dropout, self.training)
        return x + self.feed_forward(x)


class StackTransformer(nn.Module):
    """Stacked frames -> linear -> a small transformer -> linear.

    Args:
        input_size: D of the encoder.
        output_size: D of the LLM's embeddings.
    """

    def __init__(self, config: StackTransformerConfig, input_size: int, output_size: int) -> None:
        super().__init__()
        self.reduction = config.stack
        self.input = nn.Linear(input_size * config.stack, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.output = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, output_size)
        )

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) to (B, T / stack, output_size) and lengths."""
        x, lengths = stack_frames(features, lengths, self.reduction)
        x = self.input(x)
        x = self.dropout(x + sinusoidal_positions(x.size(1), x.size(2), x.device))
        mask = mask_from_lengths(lengths, x.size(1))
        for block in self.blocks:
            x = block(x, mask)
        return self.output(x), lengths


class StackMLP(nn.Module):
    """Stacked frames -> linear -> GELU -> linear, as most speech LLMs do it."""

    def __init__(self, config: StackMLPConfig, input_size: int, output_size: int) -> None:
        super().__init__()
        self.reduction = config.stack
        self.layers = nn.Sequential(
            nn.Linear(input_size * config.stack, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, output_size),
        )

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) to (B, T / stack, output_size) and lengths."""
        stacked, lengths = stack_frames(features, lengths, self.reduction)
        return self.layers(stacked), lengths


class StridedConvolution(nn.Module):
    """Strided convolutions, then a linear layer; padding is zeroed before every convolution."""

    def __init__(self, config: StridedConvolutionConfig, input_size: int, output_size: int) -> None:
        super().__init__()
        self.reduction = math.prod(config.strides)
        self.strides = config.strides
        sizes = [input_size, *[config.width] * len(config.strides)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, config.kernel, stride, padding=config.kernel // 2)
            for a, b, stride in zip(sizes, sizes[1:], config.strides, strict=False)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.width, output_size)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) to (B, T / product of strides, output_size) and lengths."""
        x = features.transpose(1, 2)
        for stride, convolution in zip(self.strides, self.convolutions, strict=True):
            x = x * mask_from_lengths(lengths, x.size(2))[:, None, :]
            x = self.dropout(F.gelu(convolution(x)))
            lengths = torch.div(lengths - 1, stride, rounding_mode="floor") + 1
        return self.output(x.transpose(1, 2)), lengths


_CLASSES = {
    StackTransformerConfig: StackTransformer,
    StackMLPConfig: StackMLP,
    StridedConvolutionConfig: StridedConvolution,
    WindowQFormerConfig: WindowQFormer,
}


class Projector(nn.Module):
    """A projector whose output has the norm of the LLM's own embeddings.

    output = gain * norm * x / ||x||, with ``norm`` the mean norm of the LLM's embedding output
    and one learnt ``gain`` that starts at 1, so that from the first step the LLM meets vectors
    of a length it knows.

    Args:
        config: one of the projector configurations.
        input_size: D of the encoder.
        output_size: D of the LLM's embeddings.
        norm: mean norm of the LLM's embeddings.

    >>> projector = Projector(StackMLPConfig(), input_size=8, output_size=6, norm=2.0)
    >>> values, lengths = projector(torch.randn(1, 9, 8), torch.tensor([9]))
    >>> values.shape, bool((values.norm(dim=2) - 2).abs().max() < 1e-5)
    (torch.Size([1, 3, 6]), True)
    """

    def __init__(
        self,
        config: StackTransformerConfig
        | StackMLPConfig
        | StridedConvolutionConfig
        | WindowQFormerConfig,
        input_size: int,
        output_size: int,
        norm: float,
    ) -> None:
        super().__init__()
        self.network = _CLASSES[type(config)](config, input_size, output_size)
        self.norm = norm
        self.gain = nn.Parameter(torch.ones(()))

    @property
    def reduction(self) -> int:
        """Encoder frames per output position."""
        return int(self.network.reduction)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) to (B, S, output_size), zero on padding, and lengths."""
        x, lengths = self.network(features, lengths)
        x = F.normalize(x.to(working_dtype(x)), dim=-1) * (self.norm * self.gain)
        return x * mask_from_lengths(lengths, x.size(1))[..., None], lengths
