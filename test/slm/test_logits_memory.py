"""With a vocabulary of 262,144 a training step never holds logits of the whole sequence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from tiny_slm import tiny_config
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM

from espnet_otreg.objectives.training import build_training_model

VOCABULARY = 262_144
WIDTH = 4


class Largest(TorchDispatchMode):
    """The most elements that any result of any operation has, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0
        self.rows = 0  # of results that have a column for each token

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
                if tensor.dim() and tensor.size(-1) == VOCABULARY:
                    self.rows = max(self.rows, tensor.numel() // VOCABULARY)
        return result


def test_only_the_transcripts_have_logits(tiny_llm: Path, tmp_path: Path) -> None:
    llm = tmp_path / "llm"
    shutil.copytree(tiny_llm, llm)
    small = AutoModelForCausalLM.from_pretrained(llm).config
    small.update({"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_attention_heads": 1,
                  "num_key_value_heads": 1, "head_dim": WIDTH})  # fmt: skip
    model = AutoModelForCausalLM.from_config(small)
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    model.save_pretrained(llm)
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps({"token_ids": list(range(20, 40)), "anchor_token_id": 0}))
    config = tiny_config(llm, classes, tmp_path) | {
        "train": [],
        "compression_conf": {},
        "regularizers": [{"otreg": {"weight": 0.3}}, {"ctc": {"weight": 0.3}}],
        "encoder_conf": {"input_size": 6, "frame_seconds": 0.02},
    }
    slm = build_training_model(config).train()
    torch.manual_seed(0)
    tokens, frames = [5, 3], [200, 160]
    text = torch.full((2, 5), -1)
    for row, count in zip(text, tokens, strict=True):
        row[:count] = torch.randint(20, 40, (count,))
    predicted = sum(tokens) + 2  # and two ends
    with Largest() as seen:
        loss, _, _ = slm(
            speech=torch.randn(2, 200, 6),
            speech_lengths=torch.tensor(frames),
            text=text,
            text_lengths=torch.tensor(tokens),
        )
        loss.sum().backward()
    # Logits, their softmax and gradient: each of as many rows as tokens are predicted.
    assert seen.rows == predicted
    assert seen.elements == predicted * VOCABULARY
    positions = 2 * (frames[0] // 2 + 1 + tokens[0])  # what all logits would be: 20 times as many
    assert positions > 20 * predicted
