"""A tiny Llama in a GGUF file, expanded to a directory that loads like any other."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from espnet_otreg.errors import UserError
from espnet_otreg.models_offline.gguf import convert_gguf

WIDTH, HEADS, INNER = 32, 4, 64
TOKENS = ["<unk>", "<s>", "</s>", *[f"<0x{n:02X}>" for n in range(256)], "▁", "a", "b", "▁a"]


def write_gguf(path: Path, without: str = "") -> dict[str, np.ndarray]:
    """One layer, the embedding in 8-bit blocks; returns the tensors as they are in the file."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    tensors = {
        "token_embd.weight": random(len(TOKENS), WIDTH),
        "output_norm.weight": random(WIDTH),
        "output.weight": random(len(TOKENS), WIDTH),
        "blk.0.attn_norm.weight": random(WIDTH),
        "blk.0.ffn_norm.weight": random(WIDTH),
        "blk.0.ffn_gate.weight": random(INNER, WIDTH),
        "blk.0.ffn_up.weight": random(INNER, WIDTH),
        "blk.0.ffn_down.weight": random(WIDTH, INNER),
    } | {f"blk.0.attn_{part}.weight": random(WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
    tensors.pop(without, None)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([-float(n) for n in range(len(TOKENS))])
    writer.add_token_types([2, 3, 3, *[6] * 256, 1, 1, 1, 1])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    eight_bits = gguf.GGMLQuantizationType.Q8_0
    for name, value in tensors.items():
        if name == "token_embd.weight":
            blocks = gguf.quants.quantize(value, eight_bits)
            tensors[name] = gguf.quants.dequantize(blocks, eight_bits)
            writer.add_tensor(name, blocks, raw_dtype=eight_bits)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def test_the_directory_loads_without_the_gguf_file(tmp_path: Path) -> None:
    tensors = write_gguf(tmp_path / "model.gguf")
    convert_gguf(tmp_path / "model.gguf", tmp_path / "hf")
    (tmp_path / "model.gguf").unlink()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    embedding = model.get_input_embeddings().weight
    assert embedding.dtype == torch.float32
    expected = torch.tensor(tensors["token_embd.weight"])
    torch.testing.assert_close(embedding.data, expected, rtol=0, atol=0)
    assert model(torch.tensor([[1, 5]])).logits.shape == (1, 2, len(TOKENS))
    assert AutoTokenizer.from_pretrained(tmp_path / "hf").convert_tokens_to_ids("</s>") == 2


def test_a_foreign_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF but no more than that")
    with pytest.raises(UserError, match="not a GGUF model"):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "hf")


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", without="blk.0.ffn_up.weight")
    with pytest.raises(UserError, match=r"not a GGUF model .* missing: model.layers.0.mlp.up_proj"):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
