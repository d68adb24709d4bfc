"""Pretrained weights: all of the model's, no others, the same ones at each load."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from edited_model import State, edited_model
from safetensors.torch import load_file
from tiny_speech import build_tiny_speech_model

from espnet_otreg.decoding.whisper_baseline import ZeroShotWhisper
from espnet_otreg.errors import UserError
from espnet_otreg.models_offline import pretrained
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.encoders.wav2vec2_network import Wav2Vec2Encoder
from espnet_otreg.slm.encoders.whisper_network import WhisperEncoder
from espnet_otreg.slm.llm import LLM

LAYER = "model.layers.1.mlp.up_proj.weight"
TABLE = "model.embed_tokens.weight"


def llm_state(directory: Path, seed: int = 0) -> State:
    torch.manual_seed(seed)
    return LLM(LLMConfig(str(directory))).model.state_dict()


def assert_equal(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def scaled(name: str, factor: float) -> Callable[[State], object]:
    return lambda state: state.update({name: state[name] * factor})


def quantised(state: State) -> None:
    state[LAYER] = (state[LAYER] * 100).to(torch.int8)


@pytest.mark.parametrize(
    ("edit", "settings", "says"),
    [
        (lambda s: s.pop(LAYER), {}, f"missing: {LAYER}"),
        (lambda s: s.pop(TABLE), {}, f"missing: lm_head.weight, {TABLE}"),
        (None, {"tie_word_embeddings": False}, "missing: lm_head.weight"),
        (None, {"num_hidden_layers": 3}, r"missing: model.layers.2.* and 6 more"),
        (None, {"num_hidden_layers": 1}, r"does not describe: model.layers.1.* and 6 more"),
        (lambda s: s.update({"v_head.weight": torch.ones(1)}), {}, "not describe: v_head.weight"),
        (None, {"vocab_size": 50}, r"other sizes .*: model.embed_tokens.weight \[120, 32\] inst"),
        (lambda s: s.update({LAYER: torch.ones(0, 32)}), {}, rf"{LAYER} \[0, 32\] instead of \[64"),
        (scaled(LAYER, float("nan")), {}, f"NaN or infinity: {LAYER}"),
        (scaled(LAYER, float("inf")), {}, f"NaN or infinity: {LAYER}"),
        (scaled(LAYER, 1e7), {"dtype": "float16"}, f"NaN or infinity: {LAYER}"),
        (quantised, {}, f"quantised weights, and config.json does not say how: {LAYER}"),
        (lambda s: s.update({LAYER: s[LAYER] > 0}), {}, f"does not say how: {LAYER}"),
        (lambda s: s.update({LAYER: (s[LAYER] * 99).long()}), {}, f"does not say how: {LAYER}"),
        (lambda s: s.update({"lm_head.weight": 2 * s[TABLE]}), {}, "differs from the embeddings"),
    ],
)
def test_an_llm_that_is_not_whole_is_refused(
    tiny_llm: Path, tmp_path: Path, edit: Any, settings: dict[str, Any], says: str
) -> None:
    directory = edited_model(tiny_llm, tmp_path / "llm", edit, **settings)
    with pytest.raises(UserError, match=says) as caught:
        LLM(LLMConfig(str(directory)))
    assert caught.value.where == str(directory) and "\n" not in str(caught.value)


@pytest.fixture
def shards(tiny_llm: Path, tmp_path: Path) -> Path:
    """The tiny LLM in several files with an index."""
    directory = tmp_path / "shards"
    shutil.copytree(tiny_llm, directory)
    (directory / "model.safetensors").unlink()
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_llm)
    model.save_pretrained(directory, max_shard_size="20KB")
    return directory


def test_files_that_are_damaged_or_not_there(tiny_llm: Path, shards: Path, tmp_path: Path) -> None:
    def refused(directory: Path, says: str) -> None:
        with pytest.raises(UserError, match=says) as caught:
            LLM(LLMConfig(str(directory)))
        assert "\n" not in str(caught.value)

    assert_equal(llm_state(shards), llm_state(tiny_llm))
    names = shards / "model.safetensors.index.json"
    index = json.loads(names.read_text())
    for wrong in ({"metadata": {}}, [1], {"weight_map": ["a"]}, {"weight_map": {}}):
        names.write_text(json.dumps(wrong))
        refused(shards, "index.json does not say which file holds which weight; get the whole")
    names.write_text(json.dumps(index))
    placed: dict[str, str] = index["weight_map"]
    first, second = sorted(set(placed.values()))[:2]
    whole = (shards / first).read_bytes()
    (shards / first).write_bytes(whole[:-100])
    refused(shards, "no causal LLM could be loaded")
    shutil.copy(shards / second, shards / first)
    refused(shards, f"{first} and model.safetensors.index.json disagree about the weights model.")
    (shards / first).unlink()
    refused(shards, f"index.json names {first}, which is not there")
    for name in ("tokenizer.json", "config.json"):
        cut = edited_model(tiny_llm, tmp_path / name)
        (cut / name).write_text((cut / name).read_text()[:200])
        refused(cut, "no tokenizer could be loaded")
    pointer = edited_model(tiny_llm, tmp_path / "pointer")
    (pointer / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    refused(pointer, "model.safetensors is a pointer of Git LFS and no weights; run git lfs pull")
    adapter = edited_model(tiny_llm, tmp_path / "adapter")
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "x"}')
    refused(adapter, "an adapter .* and no whole model; merge it")


def test_what_is_not_missing_and_not_too_much(
    tiny_llm: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = llm_state(tiny_llm)

    def head_only(state: State) -> None:
        state["lm_head.weight"] = state.pop(TABLE)

    def without_prefix(state: State) -> None:
        for name in list(state):
            state[name.removeprefix("model.")] = state.pop(name)

    def leftovers(state: State) -> None:
        state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
        state["model.layers.0.self_attn.k_scale"] = torch.ones(1)
        state["model.layers.1.mlp.up_proj.input_scale"] = torch.ones(1)
        state["model.vision_tower.patch.weight"] = torch.ones(2, 2)

    for number, edit in enumerate((head_only, without_prefix, leftovers)):
        directory = edited_model(tiny_llm, tmp_path / str(number), edit)
        assert_equal(llm_state(directory, seed=number), expected)
    pickled = edited_model(tiny_llm, tmp_path / "bin")
    (pickled / "model.safetensors").unlink()
    torch.save(expected, pickled / "pytorch_model.bin")
    assert_equal(llm_state(pickled), expected)
    assert "REPORT" not in capfd.readouterr().err


def test_the_text_part_of_a_model_that_sees(tiny_llm: Path, tmp_path: Path) -> None:
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
    torch.nn.init.normal_(model.get_input_embeddings().weight)  # the pad token's row was zero
    whole, reader = tmp_path / "whole", tmp_path / "reader"
    for directory in (whole, reader):
        shutil.copytree(tiny_llm, directory)
        model.save_pretrained(directory)
    config.text_config.save_pretrained(reader)
    expected = model.model.language_model.state_dict()
    for directory in (whole, reader):
        assert_equal(LLM(LLMConfig(str(directory))).model.get_decoder().state_dict(), expected)


def test_an_llm_in_half_precision_computes_on_a_processor(tiny_llm: Path, tmp_path: Path) -> None:
    directory = edited_model(tiny_llm, tmp_path / "llm")
    transformers.AutoModelForCausalLM.from_pretrained(tiny_llm).half().save_pretrained(directory)
    llm = LLM(LLMConfig(str(directory), adapter="lora", lora_rank=2))
    inputs = torch.randn(1, 5, 32)
    mask = torch.ones(1, 5, dtype=torch.long)
    logits = llm.logits_at(inputs, mask, mask.cumsum(1) - 1, mask.bool())
    logits.logsumexp(-1).sum().backward()
    gradients = [p.grad for p in llm.parameters() if p.grad is not None]
    assert logits.dtype == torch.float32 and gradients
    assert all(torch.isfinite(g).all() and g.dtype == torch.float32 for g in gradients)


def test_whisper_in_all_forms_and_not_whole(
    tiny_whisper: Path, tiny_whisper_model: Any, tmp_path: Path
) -> None:
    expected = tiny_whisper_model.model.encoder.state_dict()

    def encoder_only(state: State) -> None:
        for name in list(state):
            if ".encoder." not in name:
                del state[name]

    alone = tmp_path / "alone"
    tiny_whisper_model.model.encoder.save_pretrained(alone)
    classifier = transformers.WhisperForAudioClassification(tiny_whisper_model.config)
    classifier.encoder.load_state_dict(expected)
    classifier.save_pretrained(tmp_path / "classifier")
    pickled = edited_model(tiny_whisper, tmp_path / "bin")
    (pickled / "model.safetensors").unlink()
    torch.save(tiny_whisper_model.state_dict(), pickled / "pytorch_model.bin")
    part = edited_model(tiny_whisper, tmp_path / "part", encoder_only)
    for directory in (tiny_whisper, alone, tmp_path / "classifier", pickled, part):
        assert_equal(WhisperEncoder(str(directory)).encoder.state_dict(), expected)
    name = "layers.1.fc1.weight"
    lacking = edited_model(tiny_whisper, tmp_path / "x", lambda s: s.pop(f"model.encoder.{name}"))
    with pytest.raises(UserError, match=f"missing: {name}"):
        WhisperEncoder(str(lacking))
    deeper = edited_model(tiny_whisper, tmp_path / "y", encoder_layers=1)
    with pytest.raises(UserError, match="does not describe: layers.1"):
        WhisperEncoder(str(deeper))
    with pytest.raises(UserError, match="missing: model.decoder"):  # it also writes
        ZeroShotWhisper(part)


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_speech_encoders_with_heads_old_names_and_not_whole(tmp_path: Path, kind: str) -> None:
    source = build_tiny_speech_model(tmp_path / "base", kind)
    base = transformers.AutoModel.from_pretrained(source)
    expected = base.state_dict()
    family = "Wav2Vec2Bert" if kind == "wav2vec2-bert" else "Wav2Vec2"
    tasks = ["CTC", *(["PreTraining"] if family == "Wav2Vec2" else [])]
    directories = [source]
    base.config.vocab_size = 30
    for task in tasks:
        model = getattr(transformers, f"{family}For{task}")(base.config)
        getattr(model, model.base_model_prefix).load_state_dict(expected)
        directories.append(edited_model(source, tmp_path / task))
        model.save_pretrained(directories[-1])
    old = edited_model(source, tmp_path / "old")
    (old / "model.safetensors").unlink()
    names = {"parametrizations.weight.original0": "weight_g"}
    names |= {"parametrizations.weight.original1": "weight_v"}
    renamed = dict(expected)
    for new, former in names.items():
        renamed = {name.replace(new, former): value for name, value in renamed.items()}
    torch.save(renamed, old / "pytorch_model.bin")
    for directory in (*directories, old):
        assert_equal(Wav2Vec2Encoder(str(directory)).encoder.state_dict(), expected)
    unmasked = edited_model(source, tmp_path / "um", lambda s: s.pop("masked_spec_embed"))
    torch.manual_seed(1)
    one = Wav2Vec2Encoder(str(unmasked)).encoder.state_dict()
    torch.manual_seed(2)
    assert_equal(one, Wav2Vec2Encoder(str(unmasked)).encoder.state_dict())
    name = next(name for name in load_file(source / "model.safetensors") if "layers.1." in name)
    lacking = edited_model(source, tmp_path / "x", lambda s: s.pop(name))
    with pytest.raises(UserError, match=f"missing: {name}"):
        Wav2Vec2Encoder(str(lacking))


def test_no_other_door() -> None:
    root = Path(pretrained.__file__).parents[2]
    loads = re.compile(r"(Model\w*|For[A-Z]\w+|Encoder|LM)\.from_pretrained\(")
    found = [
        str(path.relative_to(root))
        for folder in ("espnet_otreg", "tools")
        for path in (root / folder).rglob("*.py")
        if "venv" not in path.parts and "SpeechLM.from_pretrained" not in (text := path.read_text())
        if loads.search(text)
    ]
    assert found == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_not_a_number_is_found_in_any_precision(dtype: torch.dtype) -> None:
    bad = torch.tensor([[1.0, float("nan")]]).to(dtype)
    # A sum would overflow in 16 bits, though every number is finite.
    large = torch.full((4000, 30), 400.0).to(dtype)
    assert pretrained.nonfinite({"bad": bad, "large": large, "none": large[:0]}) == ["bad"]
