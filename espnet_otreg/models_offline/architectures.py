"""The architectures of published models, as their ``config.json`` has them: sizes without weights.

What a training needs can be computed from them without a download, and a tiny model of the same
kind can be made. Left out is what is the default of transformers.
"""

from __future__ import annotations

from typing import Any

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import UserError

Architecture = dict[str, Any]


def _whisper(width: int, layers: int, heads: int, decoder_layers: int, **more: Any) -> Architecture:
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("attention_heads", heads), ("ffn_dim", 4 * width))
    }
    depths = {"encoder_layers": layers, "decoder_layers": decoder_layers}
    return {"model_type": "whisper", "d_model": width, **depths, **sides, **more}


def _llm(kind: str, width: int, inner: int, layers: int, heads: tuple[int, int, int], tokens: int,
         **more: Any) -> Architecture:  # fmt: skip
    return {
        "model_type": kind,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "head_dim": heads[2],
        "vocab_size": tokens,
        **more,
    }


_LARGE = _whisper(1280, 32, 20, 32, num_mel_bins=128, vocab_size=51866)
_XLS_R = {
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}
_SPEECH_300M = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}
_VISION = {  # of Gemma 3 4B, which is loaded with its eyes and does not use them here
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 896,
    "patch_size": 14,
}
_TIED = {"tie_word_embeddings": True}

ARCHITECTURES: dict[str, Architecture] = {
    "openai/whisper-base": _whisper(512, 6, 8, 6),
    "openai/whisper-large-v3": _LARGE,
    "openai/whisper-large-v3-turbo": _LARGE | {"decoder_layers": 4},
    "facebook/wav2vec2-xls-r-300m": {"model_type": "wav2vec2", **_SPEECH_300M, **_XLS_R},
    "facebook/w2v-bert-2.0": {"model_type": "wav2vec2-bert", **_SPEECH_300M},
    "Qwen/Qwen3-0.6B": _llm("qwen3", 1024, 3072, 28, (16, 8, 128), 151936, **_TIED),
    "Qwen/Qwen3-1.7B": _llm("qwen3", 2048, 6144, 28, (16, 8, 128), 151936, **_TIED),
    "Qwen/Qwen3-8B": _llm("qwen3", 4096, 12288, 36, (32, 8, 128), 151936),
    "google/gemma-3-270m": _llm("gemma3_text", 640, 2048, 18, (4, 1, 256), 262144),
    "google/gemma-3-1b-pt": _llm("gemma3_text", 1152, 6912, 26, (4, 1, 256), 262144),
    "google/gemma-3-4b-pt": {
        "model_type": "gemma3",
        "text_config": _llm("gemma3_text", 2560, 10240, 34, (8, 4, 256), 262208),
        "vision_config": _VISION,
    },
    "meta-llama/Llama-3.2-1B": _llm("llama", 2048, 8192, 16, (32, 8, 64), 128256, **_TIED),
    "meta-llama/Llama-3.2-3B": _llm("llama", 3072, 8192, 28, (24, 8, 128), 128256, **_TIED),
}


def find_architecture(model: str) -> Architecture:
    """The architecture of a published model.

    Raises:
        UserError: if it is not one of :data:`ARCHITECTURES`.

    >>> find_architecture("Qwen/Qwen3-8B")["num_hidden_layers"]
    36
    """
    if model not in ARCHITECTURES:
        known = did_you_mean(model, ARCHITECTURES)
        raise UserError("its architecture is not known here", model, known)
    return ARCHITECTURES[model]
