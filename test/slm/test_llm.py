"""The LLM wrapper against Hugging Face itself, and the prompt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from espnet_otreg.errors import UserError
from espnet_otreg.slm.config import LLMConfig, PromptConfig
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import build_prompt


def _inputs(llm: LLM) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    embeddings = torch.randn(2, 7, llm.embedding_size)
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
    return embeddings, mask, (mask.cumsum(1) - 1).clamp(min=0)


def test_logits_equal_the_llms_own(tiny_llm: Path) -> None:
    llm = LLM(LLMConfig(str(tiny_llm))).eval()
    embeddings, mask, positions = _inputs(llm)
    at = torch.zeros(2, 7, dtype=torch.bool)
    at[0, 2:5] = at[1, 4] = True
    oracle = AutoModelForCausalLM.from_pretrained(tiny_llm)
    with torch.no_grad():
        own = oracle(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions).logits
        torch.testing.assert_close(llm.logits_at(embeddings, mask, positions, at), own[at])


def test_a_scaled_embedding_layer_is_scaled(tiny_llm: Path, tmp_path: Path) -> None:
    config = Gemma3TextConfig(
        vocab_size=130, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, final_logit_softcapping=5.0,
        eos_token_id=2, bos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    Gemma3ForCausalLM(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_llm / name, tmp_path)
    weight = torch.nn.init.normal_(torch.empty(130, 32))
    oracle = AutoModelForCausalLM.from_pretrained(tmp_path)
    oracle.get_input_embeddings().weight.data.copy_(weight)
    oracle.save_pretrained(tmp_path)
    llm = LLM(LLMConfig(str(tmp_path))).eval()
    ids = torch.tensor([5, 6])
    torch.testing.assert_close(llm.embed(ids), weight[ids] * 32**0.5, rtol=1e-3, atol=1e-3)
    assert llm.mean_embedding_norm() == pytest.approx(
        float(weight.norm(dim=1).mean()) * 32**0.5, 1e-3
    )
    embeddings, mask, positions = _inputs(llm)
    at = mask.bool()
    with torch.no_grad():
        own = oracle(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions).logits
        torch.testing.assert_close(llm.logits_at(embeddings, mask, positions, at), own[at])


def test_the_dtype_stays_whatever_the_trainer_asks(tiny_llm: Path) -> None:
    llm = LLM(LLMConfig(str(tiny_llm), adapter="lora", dtype="bfloat16"))
    wrapper = torch.nn.ModuleList([llm, torch.nn.Linear(2, 2)]).to(torch.float64)
    assert wrapper[1].weight.dtype == torch.float64
    dtypes = {p.dtype for n, p in llm.named_parameters() if "lora_" not in n}
    assert dtypes == {torch.bfloat16}
    assert {p.dtype for n, p in llm.named_parameters() if "lora_" in n} == {torch.float32}


def test_lora_starts_as_the_llm_itself_and_alone_is_trainable(tiny_llm: Path) -> None:
    llm = LLM(LLMConfig(str(tiny_llm), adapter="lora", lora_rank=2)).eval()
    plain = LLM(LLMConfig(str(tiny_llm))).eval()
    embeddings, mask, positions = _inputs(llm)
    with torch.no_grad():
        at = mask.bool()
        torch.testing.assert_close(
            llm.logits_at(embeddings, mask, positions, at),
            plain.logits_at(embeddings, mask, positions, at),
        )
    trainable = [name for name, p in llm.named_parameters() if p.requires_grad]
    assert trainable and all("lora_" in name for name in trainable)
    assert not [name for name, p in plain.named_parameters() if p.requires_grad]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_merged_lora_computes_what_it_computed_apart(tiny_llm: Path, dtype: str) -> None:
    llm = LLM(LLMConfig(str(tiny_llm), adapter="lora", lora_rank=2, dtype=dtype)).eval()
    weights = {n: p.clone() for n, p in llm.named_parameters() if "base_layer" in n}
    generator = torch.Generator().manual_seed(0)
    for name, parameter in llm.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3, generator=generator)
    embeddings, mask, positions = _inputs(llm)
    with torch.no_grad():
        apart = llm.logits_at(embeddings, mask, positions, mask.bool())
        llm.merge_adapter()
        llm.merge_adapter()  # once is enough
        merged = llm.logits_at(embeddings, mask, positions, mask.bool())
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-5)
    changed = {not torch.equal(p, weights[n]) for n, p in llm.named_parameters() if n in weights}
    assert changed == {dtype == "float32"}  # small updates would be rounded away in bfloat16


def _edit_tokenizer(source: Path, target: Path, **changes: str) -> Path:
    shutil.copytree(source, target)
    path = target / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return target


def test_an_anchor_that_is_eos_is_refused_and_a_reserved_token_taken(
    tiny_llm: Path, tmp_path: Path
) -> None:
    directory = _edit_tokenizer(tiny_llm, tmp_path / "llm", pad_token="</s>")
    with pytest.raises(UserError, match="anchor_token"):
        LLM(LLMConfig(str(directory)))
    assert LLM(LLMConfig(str(directory), anchor_token="<ru>")).anchor_id == 8
    with pytest.raises(UserError, match="no token '<xx>'"):
        LLM(LLMConfig(str(directory), anchor_token="<xx>"))


def test_a_zero_anchor_is_refused(tiny_llm: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_llm, tmp_path / "llm")
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    model.get_input_embeddings().weight.data[0] = 0
    model.save_pretrained(tmp_path / "llm")
    with pytest.raises(UserError, match="zero"):
        LLM(LLMConfig(str(tmp_path / "llm")))


def test_unknown_layers_for_lora_are_named(tiny_llm: Path) -> None:
    with pytest.raises(UserError, match="no layer of the LLM is named nothing"):
        LLM(LLMConfig(str(tiny_llm), adapter="lora", lora_targets=("nothing",)))


def test_the_prompt_of_a_language_is_its_own(tiny_llm: Path) -> None:
    tokenizer = LLM(LLMConfig(str(tiny_llm))).tokenizer
    config = PromptConfig({"default": "{speech}", "it": "press {speech}<it>"}, stop=("<ru>",))
    prompt = build_prompt(config, tokenizer, generation_eos=[2])
    assert prompt.around("fr") == ((1,), ())
    before, after = prompt.around("it")
    assert before[0] == 1 and tokenizer.decode(before[1:]).strip() == "press"
    assert after == (tokenizer.convert_tokens_to_ids("<it>"),)
    assert prompt.stop_ids == (2, 8)
    with pytest.raises(UserError, match="no chat template"):
        build_prompt(PromptConfig(chat=True), tokenizer, None)


def _gradients_and_kept_bytes(llm: LLM) -> tuple[list[torch.Tensor], int]:
    """Gradients of a loss in training mode, and the bytes that its graph holds till then."""
    kept = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    embeddings, mask, positions = _inputs(llm)
    embeddings.requires_grad_()
    llm.train()
    torch.manual_seed(1)  # the dropout of LoRA
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = llm.logits_at(embeddings, mask, positions, mask.bool()).square().mean()
    held = kept
    trained = [p for p in llm.parameters() if p.requires_grad]
    return list(torch.autograd.grad(loss, [embeddings, *trained])), held


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activation_checkpointing_saves_memory_and_changes_no_gradient(
    tiny_llm: Path, dtype: str
) -> None:
    gradients, kept = {}, {}
    for checkpointing in (False, True):
        torch.manual_seed(0)
        llm = LLM(LLMConfig(str(tiny_llm), adapter="lora", lora_rank=2, dtype=dtype,
                            activation_checkpointing=checkpointing))  # fmt: skip
        for name, parameter in llm.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        gradients[checkpointing], kept[checkpointing] = _gradients_and_kept_bytes(llm)
    assert len(gradients[True]) > 1 and all(g.abs().sum() > 0 for g in gradients[True])
    for own, plain in zip(gradients[True], gradients[False], strict=True):
        torch.testing.assert_close(own, plain, rtol=0, atol=0)
    assert kept[True] < kept[False] / 2
