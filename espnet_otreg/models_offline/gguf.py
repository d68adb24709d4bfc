"""A quantised GGUF file as a plain fp32 Hugging Face directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.pretrained import load_pretrained, reading


def convert_gguf(gguf: str | Path, output: str | Path) -> None:
    """Expand a GGUF model to fp32 and write model and tokenizer; takes up to a minute.

    Args:
        gguf: the file; its architecture must be one that transformers reads from GGUF.
        output: directory to write into.

    Raises:
        UserError: if the file cannot be read as a model.
    """
    gguf, output = Path(gguf), Path(output)
    try:
        with reading("tokenizer", gguf):
            tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        model: Any = load_pretrained(
            AutoModelForCausalLM,
            gguf.parent,
            "causal LLM",
            gguf_file=gguf.name,
            dtype=torch.float32,
        )
    except UserError as error:
        raise UserError(
            f"not a GGUF model that transformers can read whole: {error.what}", str(gguf)
        ) from error
    # Expanded weights are quantised no longer, but the loader leaves marks that forbid saving.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
