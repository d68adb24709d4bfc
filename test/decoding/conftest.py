"""A trained tiny model, and LLMs of several architectures, shared by all tests of decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llm import build_tiny_llm

from espnet_otreg.slm.assembly import LLMInput, assemble
from espnet_otreg.slm.config import LLMConfig, PromptConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings, mask_from_lengths
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import Prompt, build_prompt

LENGTHS = (7, 1, 12, 4)
LANGUAGES = ("it", "en", "it", "ru")
LIMITS = (9, 4, 14, 9)


@pytest.fixture(scope="session")
def tiny_slm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training directory; ``features`` and ``llm`` lie beside it."""
    from tiny_slm import train_tiny_slm

    return train_tiny_slm(tmp_path_factory.mktemp("slm"))


@pytest.fixture(scope="session")
def tiny_model(tiny_slm: Path) -> Any:
    """The same model, loaded."""
    from espnet_otreg.slm.build import load_model

    return load_model(tiny_slm)


def _sizes(tokens: int) -> dict[str, Any]:
    return {
        "vocab_size": tokens, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip


def _other_architecture(directory: Path, name: str) -> Path:
    """The tiny tokenizer with a random Qwen3 or Gemma3 (sliding windows, scaled embeddings)."""
    import transformers

    build_tiny_llm(directory)
    tokens = len(transformers.AutoTokenizer.from_pretrained(directory))
    torch.manual_seed(0)
    if name == "qwen3":
        model: Any = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**_sizes(tokens)))
    else:
        config = transformers.Gemma3TextConfig(
            **_sizes(tokens), sliding_window=8, layer_types=["sliding_attention", "full_attention"]
        )
        model = transformers.Gemma3ForCausalLM(config)
    # Settings that a published model may bring along must not change the search.
    model.generation_config.repetition_penalty = 1.7
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.5)
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session", params=["llama", "llama-restart", "qwen3", "gemma3"])
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LLM, Prompt]:
    name = request.param.split("-")[0]
    directory = tmp_path_factory.mktemp("llm") / name
    build_tiny_llm(directory) if name == "llama" else _other_architecture(directory, name)
    llm = LLM(LLMConfig(model=str(directory))).eval()
    config = PromptConfig(
        {"default": "{speech}", "it": "{speech}<it>"},
        positions="restart" if request.param.endswith("restart") else "continue",
    )
    return llm, build_prompt(config, llm.tokenizer, 2)


Inputs = Callable[[Sequence[int]], LLMInput]


@pytest.fixture(scope="session")
def inputs(reader: tuple[LLM, Prompt]) -> Inputs:
    """LLM inputs of the utterances that are named by number."""
    llm, prompt = reader
    torch.manual_seed(1)
    speech = [torch.randn(length, 32) for length in LENGTHS]

    def make(numbers: Sequence[int]) -> LLMInput:
        rows = [speech[n] for n in numbers]
        values = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = mask_from_lengths(torch.tensor([len(r) for r in rows]), values.size(1))
        languages = [LANGUAGES[n] for n in numbers]
        embeddings = SpeechEmbeddings(values, mask, 0.06)
        with torch.inference_mode():
            return assemble(llm, prompt, embeddings, languages, padding_side="left")

    return make
