"""LoRA: every name in lora_targets means linear layers, and merging changes no logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from edited_model import edited_model

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.slm.config import LLMConfig, parse_slm_config
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.lora import add_lora


def with_lora(directory: Path, *targets: str, rank: int = 2) -> LLM:
    torch.manual_seed(0)
    config = LLMConfig(str(directory), adapter="lora", lora_rank=rank, lora_targets=targets)
    llm = LLM(config).eval()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in llm.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3, generator=generator)
    return llm


@torch.no_grad()
def logits(llm: LLM) -> torch.Tensor:
    ids = torch.arange(20, 34).view(2, 7)
    mask = torch.ones(2, 7, dtype=torch.long)
    return llm.logits_at(llm.embed(ids), mask, mask.cumsum(1) - 1, mask.bool())


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (("q_proj", "v_porj"), "no layer of the LLM is named v_porj; did you mean 'v_proj'?"),
        (("q_proj", "proj"), "no layer of the LLM is named proj; did you mean"),
        ((r".*\.q_proj",), r"no layer of the LLM is named \.\*"),
        (("q_proj", " v_proj"), "no layer of the LLM is named  v_proj; did you mean 'v_proj'?"),
        (("embed_tokens",), "'embed_tokens' means embed_tokens, which is a Embedding .* share"),
        (("lm_head",), "'lm_head' means lm_head, which is outside of the layers that read text"),
        (("q_proj", "input_layernorm"), "LlamaRMSNorm and no linear layer; known: down_proj"),
        (("Q_proj",), "no layer of the LLM is named Q_proj; did you mean 'q_proj'?"),
        (("all_linear",), "no layer of the LLM is named all_linear; did you mean 'all-linear'?"),
        (("mlp",), "'mlp' means layers.0.mlp, which is a LlamaMLP and no linear layer"),
    ],
)
def test_each_target_is_a_linear_layer(tiny_llm: Path, targets: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        with_lora(tiny_llm, *targets)
    assert caught.value.where == "llm_conf.lora_targets"


def test_layers_that_see_are_no_targets(tiny_llm: Path, tmp_path: Path) -> None:
    text = {
        "vocab_size": 120, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    config = transformers.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4
    )
    model = transformers.Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    directory = edited_model(tiny_llm, tmp_path / "sees")
    model.save_pretrained(directory)
    with pytest.raises(UserError, match=r"'fc1' means .*vision.*outside of the layers that read"):
        with_lora(directory, "fc1")
    adapted = with_lora(directory, "q_proj")
    assert {n.split(".lora_")[0] for n, _ in adapted.named_parameters() if "lora_" in n} == {
        "model.model.language_model.layers.0.self_attn.q_proj"
    }


def test_all_linear_layers_and_whole_names(tiny_llm: Path) -> None:
    adapted = {n for n, m in with_lora(tiny_llm, "all-linear").named_modules() if "lora_A." in n}
    assert len(adapted) == 2 * 7 and not any("lm_head" in name for name in adapted)
    one = with_lora(tiny_llm, "layers.1.mlp.up_proj", "v_proj")
    assert len([n for n, _ in one.named_parameters() if "lora_A" in n]) == 3
    whole = with_lora(tiny_llm, "model.layers.0.self_attn.q_proj")  # as the LLM itself names it
    assert len([n for n, _ in whole.named_parameters() if "lora_A" in n]) == 1


def test_layers_that_peft_refuses() -> None:
    config = transformers.MambaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, state_size=2
    )
    mamba = transformers.MambaForCausalLM(config)
    lora = LLMConfig("x", adapter="lora", lora_rank=2, lora_targets=("out_proj",))
    with pytest.raises(UserError, match="lora_targets: peft refuses LoRA there .*out_proj"):
        add_lora(mamba, lora)


def test_lists_that_contradict_themselves() -> None:
    for targets, says in (
        ([], "lora_targets: empty"),
        (["q_proj", "q_proj"], "'q_proj' stands there twice"),
        (["q_proj", "all-linear"], "give it alone"),
    ):
        with pytest.raises(ConfigErrors, match=says):
            parse_slm_config({"llm_conf": {"model": "x", "lora_targets": targets}})
    with pytest.raises(ConfigErrors, match="lora_alpha: must be positive"):
        parse_slm_config({"llm_conf": {"model": "x", "lora_alpha": 0}})


def test_a_rank_above_the_layers_own_is_said(
    tiny_llm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_lora(tiny_llm, "q_proj", rank=32)
    assert "lora_rank" not in caplog.text
    with_lora(tiny_llm, "q_proj", rank=33)
    assert "33 is more than the rank of layers.0.self_attn.q_proj, which is 32" in caplog.text


def test_what_merging_would_change_stays_apart(
    tiny_llm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    llm = with_lora(tiny_llm, "q_proj", "v_proj")
    layers = llm.model.get_decoder().layers
    # One matrix in two layers, as in models that share their layers.
    layers[1].self_attn.q_proj.base_layer.weight = layers[0].self_attn.q_proj.base_layer.weight
    apart = logits(llm)
    llm.merge_adapter()
    torch.testing.assert_close(logits(llm), apart, rtol=1e-4, atol=1e-5)
    assert not layers[0].self_attn.q_proj.merged and "LoRA stays apart" in caplog.text
    other = with_lora(tiny_llm, "q_proj", "v_proj").train()
    other.merge_adapter()
    assert other.training and other.model.get_decoder().layers[0].self_attn.q_proj.merged
    broken = with_lora(tiny_llm, "v_proj")
    next(p for n, p in broken.named_parameters() if "lora_B" in n).data.fill_(float("nan"))
    with pytest.raises(UserError, match="gives NaN"):
        broken.merge_adapter()
