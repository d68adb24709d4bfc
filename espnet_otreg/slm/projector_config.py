"""The configurations of projectors, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from espnet_otreg.config import positive, probability


@dataclass(frozen=True)
class StackTransformerConfig:
    """Stack neighbouring frames, then a small transformer."""

    stack: int = 3
    layers: int = 2
    width: int = 384
    heads: int = 6
    dropout: float = 0.1

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = positive(
            stack=self.stack, layers=self.layers, width=self.width, heads=self.heads
        ) + probability(dropout=self.dropout)
        if self.heads > 0 and self.width % self.heads:
            errors.append(f"width: {self.width} is not a multiple of heads ({self.heads})")
        return errors


@dataclass(frozen=True)
class StackMLPConfig:
    """Stack neighbouring frames, then two linear layers."""

    stack: int = 4
    width: int = 1024
    dropout: float = 0.1

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        return positive(stack=self.stack, width=self.width) + probability(dropout=self.dropout)


@dataclass(frozen=True)
class StridedConvolutionConfig:
    """Convolutions whose strides multiply to the reduction of the frame rate."""

    strides: tuple[int, ...] = (2, 2)
    kernel: int = 5
    width: int = 512
    dropout: float = 0.1

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = positive(kernel=self.kernel, width=self.width) + probability(dropout=self.dropout)
        if not self.strides or min(self.strides) < 1:
            errors.append(f"strides: need at least one positive stride, found {self.strides}")
        if self.kernel % 2 == 0:
            errors.append(f"kernel: must be odd, found {self.kernel}")
        return errors


@dataclass(frozen=True)
class WindowQFormerConfig:
    """A window-level Q-Former (SALMONN, Tang et al. 2024): queries that each window answers."""

    window: int = 17  # frames; 17 of Whisper's are a third of a second
    queries: int = 1  # output positions of a full window
    layers: int = 2
    width: int = 768
    heads: int = 12
    dropout: float = 0.1

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = positive(
            window=self.window,
            queries=self.queries,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
        ) + probability(dropout=self.dropout)
        if self.heads > 0 and self.width % self.heads:
            errors.append(f"width: {self.width} is not a multiple of heads ({self.heads})")
        if self.queries > 0 and self.window % self.queries:
            errors.append(f"window: {self.window} is not a multiple of queries ({self.queries})")
        return errors


PROJECTORS: dict[str, type] = {
    "stack_transformer": StackTransformerConfig,
    "stack_mlp": StackMLPConfig,
    "strided_convolution": StridedConvolutionConfig,
    "window_qformer": WindowQFormerConfig,
}
