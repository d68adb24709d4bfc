"""A Whisper small enough for tests, with random weights."""

from __future__ import annotations

from typing import Any


def build_tiny_whisper(width: int = 32, layers: int = 2) -> Any:
    """Some encoder layers and one decoder layer."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=300,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=48,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    # Fresh biases are all zero, which would hide a bias that is put in the wrong place.
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model
