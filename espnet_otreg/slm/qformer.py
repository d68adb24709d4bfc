"""A window-level Q-Former: a fixed number of queries summarises every window of frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from espnet_otreg.slm.embeddings import mask_from_lengths
from espnet_otreg.slm.frames import sinusoidal_positions, stack_frames
from espnet_otreg.slm.projector_config import WindowQFormerConfig


def _attention(config: WindowQFormerConfig) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(config.width, config.heads, config.dropout, batch_first=True)


class _Layer(nn.Module):
    """Queries attend to each other, then to the frames of their window, then a feed-forward."""

    def __init__(self, config: WindowQFormerConfig) -> None:
        super().__init__()
        # A query alone has nobody to attend to: its keys would never learn.
        several = config.queries > 1
        self.self_norm = nn.LayerNorm(config.width) if several else None
        self.self_attention = _attention(config) if several else None
        self.cross_norm = nn.LayerNorm(config.width)
        self.cross_attention = _attention(config)
        self.dropout = nn.Dropout(config.dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, 4 * config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(4 * config.width, config.width),
            nn.Dropout(config.dropout),
        )

    def forward(self, queries: Tensor, frames: Tensor, padding: Tensor) -> Tensor:
        """(N, Q, D) queries over (N, W, D) frames, of which ``padding`` (N, W) does not count."""
        if self.self_attention is not None and self.self_norm is not None:
            normed = self.self_norm(queries)
            attended = self.self_attention(normed, normed, normed, need_weights=False)[0]
            queries = queries + self.dropout(attended)
        attended = self.cross_attention(
            self.cross_norm(queries), frames, frames, key_padding_mask=padding, need_weights=False
        )[0]
        queries = queries + self.dropout(attended)
        output: Tensor = queries + self.feed_forward(queries)
        return output


class WindowQFormer(nn.Module):
    """Windows of frames -> learnt queries that cross-attend to them -> linear.

    SALMONN (Tang et al. 2024, section 3.1) applies a Q-Former (Li et al. 2023) to every window of
    frames by itself, so that the number of outputs grows with the utterance. Of a last window that
    is not full as many queries count as it has ``window / queries`` frames, begun or whole, so
    that every output stands for the same stretch of time.

    Args:
        config: window, queries and sizes.
        input_size: D of the encoder.
        output_size: D of the LLM's embeddings.
    """

    def __init__(self, config: WindowQFormerConfig, input_size: int, output_size: int) -> None:
        super().__init__()
        self.window = config.window
        self.reduction = config.window // config.queries
        self.queries = nn.Parameter(0.02 * torch.randn(config.queries, config.width))
        self.input = nn.Sequential(nn.Linear(input_size, config.width), nn.LayerNorm(config.width))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.output = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, output_size)
        )

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) to (B, T / reduction, output_size) and lengths."""
        stacked, _ = stack_frames(features, lengths, self.window)
        batch, windows, _ = stacked.shape
        frames = self.input(stacked.view(batch * windows, self.window, -1))
        # Attention has no order of its own.
        frames = frames + sinusoidal_positions(self.window, frames.size(2), frames.device)
        padding = ~mask_from_lengths(lengths, windows * self.window).view(-1, self.window)
        padding[:, 0] = False  # a window of padding alone: something to attend to, never used
        x = self.queries.expand(len(frames), -1, -1)
        for layer in self.layers:
            x = layer(x, frames, padding)
        lengths = torch.div(lengths + self.reduction - 1, self.reduction, rounding_mode="floor")
        return self.output(x).view(batch, -1, self.output[1].out_features), lengths.clamp(min=1)
