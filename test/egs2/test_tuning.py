"""Every configuration of conf/tuning, alone and with OTReg, and its estimate, with tiny random
models."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_llm import SENTENCES
from tiny_zoo import build_tiny

from espnet_otreg.models_offline.architectures import ARCHITECTURES
from espnet_otreg.objectives.training import build_training_model
from espnet_otreg.recipe.preset import Preset
from espnet_otreg.slm.config import parse_slm_config
from espnet_otreg.slm.prompt import encode_transcript
from espnet_otreg.tasks.train_config import value_errors

ROOT = Path(__file__).resolve().parents[2]
TUNING = ROOT / "egs2/TEMPLATE/slm1/conf/tuning"
ZOO = Preset(TUNING)
CONFIGS = sorted(set(ZOO.runs) - {"otreg"})
# What may differ from base.yaml, by the first part of the name.
AXES = {
    "base": set(),
    "encoder": {"encoder", "encoder_conf", "frontend", "frontend_conf", "normalize"},
    "projector": {"projector", "projector_conf"},
    "llm": {"llm_conf.model", "llm_conf.anchor_token"},
    "lora": {"llm_conf.lora_rank", "llm_conf.lora_alpha"},
}
SMALL = {
    "stack_mlp": {"width": 32},
    "stack_transformer": {"width": 32, "heads": 4, "layers": 1},
    "strided_convolution": {"width": 32},
    "window_qformer": {"width": 32, "heads": 4, "layers": 1},
}
CONFORMER = {"output_size": 32, "attention_heads": 4, "linear_units": 64, "num_blocks": 1}


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """With the keys of ``llm_conf`` as keys of their own."""
    llm = {f"llm_conf.{key}": value for key, value in values["llm_conf"].items()}
    return {key: value for key, value in values.items() if key != "llm_conf"} | llm


def test_each_is_one_axis_away_from_the_base() -> None:
    assert ZOO.errors == []
    base = flat(ZOO.config("base"))
    models = set()
    for name in CONFIGS:
        values = flat(ZOO.config(name))
        models |= {values["llm_conf.model"], values.get("encoder_conf", {}).get("model")}
        keys = {k for k in base.keys() | values.keys() if base.get(k) != values.get(k)}
        axis = AXES[name.split("_")[0]]
        assert keys <= axis and bool(keys) == bool(axis), name
        regularized = ZOO.config(name, "otreg")
        [regularizer] = regularized.pop("regularizers")
        assert list(regularizer) == ["otreg"] and flat(regularized) == values
    assert models - {None} == set(ARCHITECTURES)


def test_all_options_exist() -> None:
    for name in CONFIGS:
        assert value_errors(ZOO.config(name)) == value_errors(ZOO.config(name, "otreg")) == []


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("estimate", ROOT / "tools/estimate_training.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_comments_are_what_the_tool_prints(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["estimate_training.py", str(TUNING), "--runs", *CONFIGS])
    tool.main()
    printed = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    lines = ZOO.layers.files[0].read_text().splitlines()
    comments = {name: lines[lines.index(f"  {name}:") + 1].strip(" #") for name in CONFIGS}
    assert comments == printed


# Counts that others have published: the first two by Keras' presets, of the text model.
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("gemma-3-1b", 999_885_952), ("gemma-3-4b", 3_880_099_328 + 64 * 2560),
     ("qwen3-0.6b", 596_049_920)],
)  # fmt: skip
def test_the_architectures_have_as_many_parameters_as_published(
    tool: ModuleType, name: str, parameters: int
) -> None:
    values = ZOO.config("base" if name == "qwen3-0.6b" else f"llm_{name}")
    config = parse_slm_config(values).llm_conf
    with torch.device("meta"):
        decoder = tool._llm(config).get_decoder()
    lora = sum(p.numel() for n, p in decoder.named_parameters() if "lora_" in n)
    assert sum(p.numel() for p in decoder.parameters()) - lora == parameters


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


def in_small(values: dict[str, Any], zoo: Path) -> dict[str, Any]:
    """The same configuration with tiny models of the same architectures."""
    llm, encoder = dict(values["llm_conf"]), dict(values["encoder_conf"])
    llm["model"] = str(build_tiny(zoo, llm["model"], llm.get("anchor_token")))
    if "model" in encoder:
        encoder["model"] = str(build_tiny(zoo, encoder["model"]))
    else:
        encoder |= CONFORMER
    projector = {**values["projector_conf"], **SMALL[values["projector"]]}
    return values | {"llm_conf": llm, "encoder_conf": encoder, "projector_conf": projector}


def a_batch(model: Any) -> dict[str, torch.Tensor]:
    """Noise of several lengths with the sentences of the tiny tokenizer."""
    generator = torch.Generator().manual_seed(0)
    texts = [SENTENCES["it"][0], SENTENCES["en"][2], SENTENCES["ru"][1]]
    ids = [torch.tensor(encode_transcript(model.llm.tokenizer, text)) for text in texts]
    lengths = torch.tensor([24000, 9000, 16000])
    return {
        "speech": 0.1 * torch.randn(3, 24000, generator=generator),
        "speech_lengths": lengths,
        "text": torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1),
        "text_lengths": torch.tensor([len(row) for row in ids]),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_takes_two_steps_with_and_without_otreg(name: str, zoo: Path) -> None:
    losses = []
    for names in ((name,), (name, "otreg")):
        values = in_small(ZOO.config(*names), zoo)
        torch.manual_seed(1)
        model = build_training_model(values).train()
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        kinds = {n.split(".")[0] for n in trained}
        assert kinds == {"projector", "llm"} | ({"encoder"} if "conformer" in name else set())
        assert all("lora_" in n for n in trained if n.startswith("llm."))
        before = {n: parameter.detach().clone() for n, parameter in trained.items()}
        optimizer = torch.optim.AdamW(trained.values(), **values["optim_conf"])
        for _ in range(2):
            torch.manual_seed(2)
            loss, statistics, _ = model(**a_batch(model))
            optimizer.zero_grad()
            loss.sum().backward()
            silent = [
                n for n, p in trained.items() if p.grad is None or not p.grad.isfinite().all()
            ]
            assert silent == []
            optimizer.step()
            losses.append(float(loss.detach()))
        assert ("otreg_weighted" in statistics) == ("otreg" in names)
        # LoRA's first matrices learn from the second step on.
        assert all(not torch.equal(trained[n], value) for n, value in before.items())
    assert torch.isfinite(torch.tensor(losses)).all()
    assert losses[0] != losses[2]  # OTReg's term is in the sum
