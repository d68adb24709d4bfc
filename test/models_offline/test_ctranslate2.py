"""A CTranslate2 file written from a known model must give that model back."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.ctranslate2 import load_whisper, read_variables


def _attention(state: dict[str, Tensor], source: str, letters: str) -> dict[str, Tensor]:
    """Stacked weight and bias of some projections; keys have no bias in Whisper."""
    weights = [state[f"{source}.{letter}_proj.weight"] for letter in letters]
    zero = torch.zeros(len(weights[0]))
    biases = [state.get(f"{source}.{letter}_proj.bias", zero) for letter in letters]
    return {"weight": torch.cat(weights), "bias": torch.cat(biases)}


def ctranslate2_variables(model: Any) -> dict[str, Tensor]:
    """The variables of a transformers model under CTranslate2's names."""
    state = model.state_dict()
    variables: dict[str, Tensor] = {
        "decoder/embeddings/weight": state["model.decoder.embed_tokens.weight"]
    }

    def put(target: str, source: str, names: tuple[str, str] = ("weight", "bias")) -> None:
        variables[f"{target}/{names[0]}"] = state[f"{source}.weight"]
        variables[f"{target}/{names[1]}"] = state[f"{source}.bias"]

    norm = ("gamma", "beta")
    for convolution in ("conv1", "conv2"):
        put(f"encoder/{convolution}", f"model.encoder.{convolution}")
    for side, layers in (("encoder", 2), ("decoder", 1)):
        heads = getattr(model.config, f"{side}_attention_heads")
        variables[f"{side}/num_heads"] = torch.tensor(heads, dtype=torch.int16)
        variables[f"{side}/position_encodings/encodings"] = state[
            f"model.{side}.embed_positions.weight"
        ]
        put(f"{side}/layer_norm", f"model.{side}.layer_norm", norm)
        for index in range(layers):
            target, source = f"{side}/layer_{index}", f"model.{side}.layers.{index}"
            stacked = {"self_attention/linear_0": _attention(state, f"{source}.self_attn", "qkv")}
            put(f"{target}/self_attention/linear_1", f"{source}.self_attn.out_proj")
            put(f"{target}/self_attention/layer_norm", f"{source}.self_attn_layer_norm", norm)
            if side == "decoder":
                cross = f"{source}.encoder_attn"
                stacked["attention/linear_0"] = _attention(state, cross, "q")
                stacked["attention/linear_1"] = _attention(state, cross, "kv")
                put(f"{target}/attention/linear_2", f"{cross}.out_proj")
                put(f"{target}/attention/layer_norm", f"{cross}_layer_norm", norm)
            for name, pair in stacked.items():
                variables |= {f"{target}/{name}/{kind}": value for kind, value in pair.items()}
            put(f"{target}/ffn/linear_0", f"{source}.fc1")
            put(f"{target}/ffn/linear_1", f"{source}.fc2")
            put(f"{target}/ffn/layer_norm", f"{source}.final_layer_norm", norm)
    return variables


def write_ctranslate2(path: Path, variables: dict[str, Tensor]) -> None:
    """Version 6 of the format, without aliases."""

    def name(text: str) -> bytes:
        raw = text.encode() + b"\0"
        return struct.pack("<H", len(raw)) + raw

    codes = {torch.float32: 0, torch.int16: 2, torch.float16: 4}
    with open(path, "wb") as file:
        file.write(struct.pack("<I", 6) + name("WhisperSpec") + struct.pack("<I", 3))
        file.write(struct.pack("<I", len(variables)))
        for key, value in variables.items():
            raw = value.contiguous().numpy().tobytes()
            shape = struct.pack(f"<B{value.dim()}I", value.dim(), *value.shape)
            file.write(name(key) + shape + struct.pack("<BI", codes[value.dtype], len(raw)) + raw)
        file.write(struct.pack("<I", 0))


@torch.no_grad()
def test_the_model_comes_back(tiny_whisper_model: Any, tmp_path: Path) -> None:
    write_ctranslate2(tmp_path / "model.bin", ctranslate2_variables(tiny_whisper_model))
    loaded = load_whisper(tmp_path / "model.bin")
    expected = tiny_whisper_model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    inputs = {
        "input_features": torch.randn(1, 80, 3000),
        "decoder_input_ids": torch.tensor([[3, 7, 9]]),
    }
    torch.testing.assert_close(
        loaded(**inputs).logits, tiny_whisper_model(**inputs).logits, rtol=0, atol=0
    )


def test_half_precision_is_widened(tiny_whisper_model: Any, tmp_path: Path) -> None:
    variables = ctranslate2_variables(tiny_whisper_model)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in variables.items()}
    write_ctranslate2(tmp_path / "model.bin", halves)
    weight = load_whisper(tmp_path / "model.bin").model.encoder.conv1.weight
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight.data, variables["encoder/conv1/weight"], rtol=1e-3, atol=1e-4)


def test_a_key_bias_is_refused_rather_than_lost(tiny_whisper_model: Any, tmp_path: Path) -> None:
    variables = ctranslate2_variables(tiny_whisper_model)
    variables["encoder/layer_0/self_attention/linear_0/bias"][40] = 1.0  # a key of 32..63
    write_ctranslate2(tmp_path / "model.bin", variables)
    with pytest.raises(UserError, match="key projection with a bias"):
        load_whisper(tmp_path / "model.bin")


def test_missing_misshapen_and_infinite_weights_are_refused(
    tiny_whisper_model: Any, tmp_path: Path
) -> None:
    variables = ctranslate2_variables(tiny_whisper_model)
    name = "encoder/layer_1/ffn/linear_0/bias"
    for value, says in (
        (None, f"missing or do not fit together .*{name}"),
        (torch.ones(3), "do not fit together .*fc1.bias"),
        (torch.full((64,), float("inf")), "NaN or infinity: model.encoder.layers.1.fc1.bias"),
    ):
        changed = {key: v for key, v in variables.items() if key != name}
        changed |= {} if value is None else {name: value}
        write_ctranslate2(tmp_path / "model.bin", changed)
        with pytest.raises(UserError, match=says):
            load_whisper(tmp_path / "model.bin")


def test_damaged_and_foreign_files_are_clear_errors(
    tiny_whisper_model: Any, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    write_ctranslate2(path, ctranslate2_variables(tiny_whisper_model))
    whole = path.read_bytes()
    for size in (2, 30, 1000, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="truncated or damaged"):
            read_variables(path)
    path.write_bytes(struct.pack("<I", 5) + whole[4:])
    with pytest.raises(UserError, match="not a version 6"):
        read_variables(path)
