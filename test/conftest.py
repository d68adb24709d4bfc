"""What tests of several folders share: tiny models and trainings, and a process to run commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_input import ForkServer
from tiny_training import TinyTraining, make_tiny_training

_LANGUAGES = ("en", "es", "fr", "it", "ru")


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """fork_server(name, ...): run a command that needs PyTorch and ESPnet."""
    server = ForkServer(tmp_path_factory.mktemp("fork_server"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tiny_training(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> TinyTraining:
    """Everything that a training reads, made once."""
    return make_tiny_training(tmp_path_factory.mktemp("training"), fork_server)


@pytest.fixture(scope="session")
def tiny_whisper_model() -> Any:
    """A Whisper of two encoder layers and one decoder layer, 32 wide."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=300,
        d_model=32,
        encoder_layers=2,
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


@pytest.fixture(scope="session")
def tiny_whisper(tiny_whisper_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The local directory of that model."""
    directory = tmp_path_factory.mktemp("models") / "tiny-whisper"
    tiny_whisper_model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def whisper_tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level ``tokenizer.json`` with Whisper's control tokens for five languages."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: n for n, symbol in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["endoftext", "startoftranscript", *_LANGUAGES, "translate", "transcribe",
             "startoflm", "startofprev", "nocaptions", "notimestamps"]  # fmt: skip
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in names])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path
