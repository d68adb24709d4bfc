#!/usr/bin/env python3
"""What a training would take: memory and work of a step, computed without any weights.

    tools/estimate_training.py egs2/TEMPLATE/slm1/conf/tuning [--runs base] [--tokens 40]
    tools/estimate_training.py conf/train.yaml

All parts are built on PyTorch's device "meta", which has sizes and no content, from the published
architectures in espnet_otreg/models_offline/architectures.py. "state" is weights, gradients and the
two moments of Adam; "logits" are those of the transcripts (not of the whole sequence), their
softmax and gradient in fp32; other activations come on top and depend on checkpointing. A step is
2 operations for each weight and position forward, 2 backward where something before it learns, and
2 more if it learns itself; attention between positions is left out.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from espnet_otreg.errors import run_main
from espnet_otreg.files import read_yaml
from espnet_otreg.models_offline.architectures import find_architecture
from espnet_otreg.recipe.preset import Preset
from espnet_otreg.slm.config import LLMConfig, SLMConfig, parse_slm_config
from espnet_otreg.slm.projectors import Projector
from espnet_otreg.tasks.summary import training_bytes

_FRAME_SECONDS = 0.02  # of the pretrained encoders


class Estimate(NamedTuple):
    """Bytes of state and of logits, operations of a step."""

    state: int
    logits: int
    operations: float

    def line(self) -> str:
        """What stands in a configuration's comment."""
        return (
            f"{self.state / 1e9:.2f} GB state + {self.logits / 1e9:.2f} GB logits, "
            f"{self.operations / 1e12:.2f} TFLOP a step"
        )


def _encoder(config: SLMConfig) -> tuple[nn.Module, int, float]:
    """Encoder, its dimension, and the seconds of a frame."""
    if config.encoder_conf.pretrained is None:
        encoder = config.encoder_conf.build(input_size=80)
        return encoder, encoder.output_size(), 4 * 0.008  # hop of ESPnet's frontend, subsampling
    architecture = find_architecture(config.encoder_conf.pretrained)
    model = AutoModel.from_config(AutoConfig.for_model(**architecture))
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    model.requires_grad_(False)
    return model, int(model.config.hidden_size), _FRAME_SECONDS


@functools.cache
def _llm(config: LLMConfig) -> Any:
    from peft import LoraConfig, inject_adapter_in_model

    architecture = AutoConfig.for_model(**find_architecture(config.model))
    model = AutoModelForCausalLM.from_config(architecture, dtype=torch.bfloat16)
    model.requires_grad_(False)
    if config.adapter == "lora":
        lora = LoraConfig(r=config.lora_rank, target_modules=list(config.lora_targets))
        inject_adapter_in_model(lora, model.get_decoder())
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()
    return model


def _count(module: nn.Module, trained: bool | None = None) -> int:
    return sum(
        p.numel() for p in module.parameters() if trained is None or p.requires_grad == trained
    )


def estimate(values: dict[str, Any], seconds: float, tokens: int) -> Estimate:
    """State, logits and operations for batches of utterances of that length."""
    config = parse_slm_config(values)
    with torch.device("meta"):
        encoder, size, frame_seconds = _encoder(config)
        llm = _llm(config.llm_conf)
        width = llm.get_input_embeddings().weight.size(1)
        projector = Projector(config.projector_conf, size, width, 1.0)
    batch, vocabulary = int(values["batch_size"]), llm.get_output_embeddings().weight.size(0)
    frames = batch * seconds / frame_seconds
    speech = frames / projector.reduction
    predicted = batch * (tokens + 1)  # and the end
    decoder = llm.get_decoder()
    table = llm.get_input_embeddings().weight.numel()  # looked up, not multiplied
    layers = 4 * (_count(decoder, False) - table) + 6 * _count(decoder, True)
    operations = (
        frames * (2 * _count(encoder, False) + 6 * _count(encoder, True))
        + frames / projector.reduction * 6 * _count(projector)
        + (speech + predicted) * layers
        + predicted * 4 * vocabulary * width
    )
    state = training_bytes(nn.ModuleList([encoder, projector, llm]))
    return Estimate(state, 3 * 4 * predicted * vocabulary, operations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("config", type=Path, help="a YAML file, or a directory of experiment.yaml")
    parser.add_argument("--runs", nargs="+", default=[], help="of experiment.yaml; by default all")
    parser.add_argument("--seconds", type=float, default=10.0, help="of an utterance")
    parser.add_argument("--tokens", type=int, default=40, help="of a transcript")
    arguments = parser.parse_args()
    if arguments.config.is_dir():
        preset = Preset(arguments.config)
        configs = {name: preset.config(name) for name in arguments.runs or preset.runs}
    else:
        configs = {arguments.config.stem: read_yaml(arguments.config)}
    for name, values in configs.items():
        found = estimate(values, arguments.seconds, arguments.tokens)
        print(f"{name}: {found.line()}", flush=True)


if __name__ == "__main__":
    run_main(main)
