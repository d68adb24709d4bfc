"""Tiny random speech encoders of Hugging Face in directories of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip
# What differs from the defaults of transformers in facebook/wav2vec2-xls-r-300m.
XLS_R = {
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True,
    "feat_extract_activation": "gelu", "conv_dim": [16] * 7, "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4, "layerdrop": 0.1,
}  # fmt: skip


def build_tiny_speech_model(directory: Path, kind: str, **changes: Any) -> Path:
    """Make a model directory of type ``wav2vec2`` or ``wav2vec2-bert``."""
    import torch
    import transformers

    torch.manual_seed(0)
    if kind == "wav2vec2":
        config: Any = transformers.Wav2Vec2Config(**SMALL | XLS_R | changes)
        model: Any = transformers.Wav2Vec2Model(config)
        extractor: Any = transformers.Wav2Vec2FeatureExtractor(
            do_normalize=True, return_attention_mask=True
        )
    else:
        model = transformers.Wav2Vec2BertModel(transformers.Wav2Vec2BertConfig(**SMALL | changes))
        extractor = transformers.SeamlessM4TFeatureExtractor()
    # Fresh biases are all zero, which would hide what leaks out of padding through them.
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(directory)
    extractor.save_pretrained(directory)
    return directory
