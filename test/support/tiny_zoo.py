"""Tiny random models of the architectures that the tuning configurations name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_llm import build_tiny_llm
from tiny_speech import XLS_R, build_tiny_speech_model

from espnet_otreg.models_offline.architectures import find_architecture

_WHISPER = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 300,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3,
}  # fmt: skip
_LLM = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
_VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip


def _llm(directory: Path, architecture: dict[str, Any], anchor: str | None) -> None:
    import torch
    import transformers

    build_tiny_llm(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    if anchor is not None:  # a tokenizer like Llama's, without a pad token
        tokenizer.add_special_tokens({"additional_special_tokens": [anchor]})
        tokenizer.pad_token = None
        tokenizer.save_pretrained(directory)
    sizes = {**_LLM, "vocab_size": len(tokenizer)}
    if "text_config" in architecture:
        text, vision = architecture["text_config"], architecture["vision_config"]
        small = {"text_config": text | sizes, "vision_config": vision | _VISION}
        small["mm_tokens_per_image"] = 4
    else:
        small = sizes
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**architecture | small)
    model = transformers.AutoModelForCausalLM.from_config(config)
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.5)
    model.save_pretrained(directory)


def build_tiny(root: Path, model: str, anchor: str | None = None) -> Path:
    """The directory of a tiny model of the published model's architecture, made once."""
    import transformers

    directory = root / model.replace("/", "--")
    if directory.exists():
        return directory
    architecture = find_architecture(model)
    kind = architecture["model_type"]
    if kind == "whisper":
        config = transformers.WhisperConfig(**architecture | _WHISPER)
        transformers.WhisperModel(config).save_pretrained(directory)
    elif kind.startswith("wav2vec2"):
        own = {k: v for k, v in architecture.items() if k in XLS_R}
        build_tiny_speech_model(directory, kind, **own)
    else:
        _llm(directory, architecture, anchor)
    return directory
