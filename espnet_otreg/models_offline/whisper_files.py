"""What a Whisper directory needs besides weights: tokenizer, feature extractor, generation."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers import (
    GenerationConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

_END = "<|endoftext|>"
_START = "<|startoftranscript|>"


def whisper_tokenizer(tokenizer_json: str | Path) -> WhisperTokenizer:
    """The tokenizer of a ``tokenizer.json``, with its control tokens as special tokens."""
    content = json.loads(Path(tokenizer_json).read_text(encoding="utf-8"))
    special = [token["content"] for token in content["added_tokens"] if token["special"]]
    return WhisperTokenizer(
        vocab=content["model"]["vocab"],
        merges=[tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge)
                for merge in content["model"]["merges"]],
        pad_token=_END,
        additional_special_tokens=[token for token in special if token != _END],
    )  # fmt: skip


def generation_config(tokenizer_json: str | Path, ctranslate2_config: dict) -> GenerationConfig:
    """Language, task and suppressed tokens, so that ``generate(language=..., task=...)`` works."""
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    token_id = tokenizer.token_to_id
    languages = {
        f"<|{code}|>": index for code in LANGUAGES if (index := token_id(f"<|{code}|>")) is not None
    }
    return GenerationConfig(
        bos_token_id=token_id(_END),
        eos_token_id=token_id(_END),
        pad_token_id=token_id(_END),
        decoder_start_token_id=token_id(_START),
        prev_sot_token_id=token_id("<|startofprev|>"),
        no_timestamps_token_id=token_id("<|notimestamps|>"),
        lang_to_id=languages,
        task_to_id={task: token_id(f"<|{task}|>") for task in ("transcribe", "translate")},
        is_multilingual=True,
        return_timestamps=False,
        max_length=448,
        max_initial_timestamp_index=50,
        alignment_heads=ctranslate2_config["alignment_heads"],
        suppress_tokens=ctranslate2_config["suppress_ids"],
        begin_suppress_tokens=ctranslate2_config["suppress_ids_begin"],
    )


def save_whisper(
    model: WhisperForConditionalGeneration,
    tokenizer_json: str | Path,
    ctranslate2_config: dict,
    output: str | Path,
) -> None:
    """Write a whole Hugging Face directory: weights, configurations, tokenizer, extractor."""
    generation = generation_config(tokenizer_json, ctranslate2_config)
    model.generation_config = generation
    for name in ("bos", "eos", "pad", "decoder_start"):
        setattr(model.config, f"{name}_token_id", getattr(generation, f"{name}_token_id"))
    model.config.suppress_tokens = model.config.begin_suppress_tokens = None
    model.save_pretrained(output)
    whisper_tokenizer(tokenizer_json).save_pretrained(output)
    WhisperFeatureExtractor(feature_size=model.config.num_mel_bins).save_pretrained(output)
