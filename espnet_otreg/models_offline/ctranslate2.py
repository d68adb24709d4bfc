"""CTranslate2's ``model.bin`` of a Whisper model, as the same model in transformers.

The format (version 6) is little-endian: a version, the specification's name and revision, the
number of variables, then per variable its name, shape, type and bytes, then aliases. Attention
projections that read the same input are one matrix there: ``linear_0`` of self-attention is query,
key and value stacked, ``linear_1`` of cross-attention key and value; Whisper's keys have no bias,
so that part of the stacked bias is zero.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

import torch
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration

from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.pretrained import first_names, nonfinite

_DTYPES = {
    0: torch.float32,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.float16,
    5: torch.bfloat16,
}
_SUPPORTED_VERSION = 6


def _read(file: IO[bytes], layout: str) -> tuple[int, ...]:
    raw = file.read(struct.calcsize("<" + layout))
    return struct.unpack("<" + layout, raw)


def _read_name(file: IO[bytes]) -> str:
    (length,) = _read(file, "H")
    return file.read(length).rstrip(b"\0").decode("utf-8")


def read_variables(path: str | Path) -> dict[str, Tensor]:
    """All variables of a CTranslate2 ``model.bin`` by name, aliases left out.

    Raises:
        UserError: if the file is truncated or is not a version 6 Whisper model.
    """
    variables: dict[str, Tensor] = {}
    try:
        with open(path, "rb") as file:
            (version,) = _read(file, "I")
            if version != _SUPPORTED_VERSION or _read_name(file) != "WhisperSpec":
                raise UserError("not a version 6 CTranslate2 Whisper model", str(path))
            _read(file, "I")  # revision of the specification
            (count,) = _read(file, "I")
            for _ in range(count):
                name = _read_name(file)
                (rank,) = _read(file, "B")
                shape = _read(file, "I" * rank)
                (dtype,) = _read(file, "B")
                (size,) = _read(file, "I")
                values = torch.frombuffer(bytearray(file.read(size)), dtype=_DTYPES[dtype])
                variables[name] = values.reshape(shape)
    except (struct.error, ValueError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise UserError(
            "truncated or damaged CTranslate2 model", str(path), "fetch it again"
        ) from error
    return variables


def _norm(variables: dict[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    return {
        f"{target}.weight": variables[f"{source}/gamma"],
        f"{target}.bias": variables[f"{source}/beta"],
    }


def _linear(variables: dict[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    return {
        f"{target}.weight": variables[f"{source}/weight"],
        f"{target}.bias": variables[f"{source}/bias"],
    }


def _projections(
    variables: dict[str, Tensor], source: str, target: str, names: str
) -> dict[str, Tensor]:
    """Unstack a projection matrix into those of ``names`` (letters of q, k, v)."""
    weights = variables[f"{source}/weight"].chunk(len(names))
    biases = variables[f"{source}/bias"].chunk(len(names))
    state = {}
    for name, weight, bias in zip(names, weights, biases, strict=True):
        state[f"{target}.{name}_proj.weight"] = weight
        if name != "k":
            state[f"{target}.{name}_proj.bias"] = bias
        elif bias.any():
            raise UserError("a key projection with a bias, which Whisper has not", source)
    return state


def _layer(variables: dict[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    state = _projections(
        variables, f"{source}/self_attention/linear_0", f"{target}.self_attn", "qkv"
    )
    state |= _linear(variables, f"{source}/self_attention/linear_1", f"{target}.self_attn.out_proj")
    state |= _norm(
        variables, f"{source}/self_attention/layer_norm", f"{target}.self_attn_layer_norm"
    )
    if f"{source}/attention/linear_0/weight" in variables:
        cross, cross_target = f"{source}/attention", f"{target}.encoder_attn"
        state |= _projections(variables, f"{cross}/linear_0", cross_target, "q")
        state |= _projections(variables, f"{cross}/linear_1", cross_target, "kv")
        state |= _linear(variables, f"{cross}/linear_2", f"{cross_target}.out_proj")
        state |= _norm(variables, f"{cross}/layer_norm", f"{cross_target}_layer_norm")
    state |= _linear(variables, f"{source}/ffn/linear_0", f"{target}.fc1")
    state |= _linear(variables, f"{source}/ffn/linear_1", f"{target}.fc2")
    state |= _norm(variables, f"{source}/ffn/layer_norm", f"{target}.final_layer_norm")
    return state


def _layer_count(variables: dict[str, Tensor], side: str) -> int:
    prefix = f"{side}/layer_"
    indices = [n[len(prefix) :].split("/")[0] for n in variables if n.startswith(prefix)]
    return 1 + max(int(index) for index in indices if index.isdigit())


def whisper_state_dict(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """The variables under the names of ``WhisperForConditionalGeneration``, in fp32."""
    state = {"model.decoder.embed_tokens.weight": variables["decoder/embeddings/weight"]}
    state["proj_out.weight"] = variables["decoder/embeddings/weight"]
    for convolution in ("conv1", "conv2"):
        state |= _linear(variables, f"encoder/{convolution}", f"model.encoder.{convolution}")
    for side in ("encoder", "decoder"):
        state[f"model.{side}.embed_positions.weight"] = variables[
            f"{side}/position_encodings/encodings"
        ]
        state |= _norm(variables, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for index in range(_layer_count(variables, side)):
            state |= _layer(variables, f"{side}/layer_{index}", f"model.{side}.layers.{index}")
    return {name: value.float() for name, value in state.items()}


def load_whisper(path: str | Path) -> WhisperForConditionalGeneration:
    """A CTranslate2 ``model.bin`` as a transformers model in fp32; every parameter must fit.

    Raises:
        UserError: if the file is damaged, is no Whisper model, lacks a weight or holds NaN.
    """
    variables = read_variables(path)
    try:
        model = _as_transformers(variables)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"weights are missing or do not fit together ({reason})", str(path), "fetch it again"
        ) from error
    if wrong := nonfinite(model.state_dict()):
        raise UserError(
            f"weights with NaN or infinity: {first_names(wrong)}", str(path), "fetch it again"
        )
    return model.eval()


def _as_transformers(variables: dict[str, Tensor]) -> WhisperForConditionalGeneration:
    vocabulary, width = variables["decoder/embeddings/weight"].shape
    heads = {side: int(variables[f"{side}/num_heads"]) for side in ("encoder", "decoder")}
    config = WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        num_mel_bins=variables["encoder/conv1/weight"].shape[1],
        encoder_layers=_layer_count(variables, "encoder"),
        decoder_layers=_layer_count(variables, "decoder"),
        encoder_attention_heads=heads["encoder"],
        decoder_attention_heads=heads["decoder"],
        encoder_ffn_dim=variables["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        decoder_ffn_dim=variables["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        max_source_positions=variables["encoder/position_encodings/encodings"].shape[0],
        max_target_positions=variables["decoder/position_encodings/encodings"].shape[0],
        pad_token_id=None,  # token ids belong to the tokenizer, which is not in this file
    )
    model = WhisperForConditionalGeneration(config)
    model.load_state_dict(whisper_state_dict(variables), strict=True)
    return model
