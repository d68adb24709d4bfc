"""LoRA in the layers that a configuration names, each of them found; the first of the adapters.

A name means what it means in peft: the whole name of a module or the end of it after a dot. peft
is content if any name of several is found; here each one must be, and must be a linear layer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from espnet_otreg.config import did_you_mean
from espnet_otreg.errors import UserError
from espnet_otreg.precision import working_dtype
from espnet_otreg.slm.config import ALL_LINEAR, LLMConfig

_WHERE = "llm_conf.lora_targets"


def _is_linear(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    return isinstance(module, (nn.Linear, Conv1D))


def _named(modules: dict[str, nn.Module], target: str) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in modules.items()
        if name == target or name.endswith(f".{target}")
    }


def find_targets(model: Any, targets: tuple[str, ...]) -> dict[str, nn.Module]:
    """The linear layers of an LLM that some names mean.

    Args:
        model: a causal LLM of transformers. The output layer and what reads images lie outside of
            its decoder and are never found.
        targets: names as peft takes them, or ``all-linear`` alone.

    Returns:
        Name in the decoder -> layer.

    Raises:
        UserError: for the first name that means no linear layer of the decoder.
    """
    decoder = model.get_decoder()
    modules = dict(decoder.named_modules())
    # Whole names may also be those in the LLM, which begin with what it calls its decoder.
    outer = next(name for name, module in model.named_modules() if module is decoder)
    linear = {name: module for name, module in modules.items() if _is_linear(module)}
    if targets == (ALL_LINEAR,):
        return linear
    known = {name.rsplit(".", 1)[-1] for name in linear}
    found: dict[str, nn.Module] = {}
    for target in targets:
        matched = _named(modules, target.removeprefix(f"{outer}."))
        other = next((name for name in matched if name not in linear), None)
        if not matched:
            raise _not_found(model, target, known)
        if other is not None:
            raise UserError(
                f"'{target}' means {other}, which is a {type(modules[other]).__name__} and no "
                "linear layer",
                _WHERE,
                "embeddings cannot be adapted, because the output layer and the targets of "
                "alignment share them; known: " + ", ".join(sorted(known))
                if isinstance(modules[other], nn.Embedding)
                else "known: " + ", ".join(sorted(known)),
            )
        found |= matched
    return found


def _not_found(model: Any, target: str, known: set[str]) -> UserError:
    outside = next(iter(_named(dict(model.named_modules()), target)), None)
    if outside is None:
        return UserError(
            f"no layer of the LLM is named {target}",
            _WHERE,
            did_you_mean(target, known | {ALL_LINEAR}),
        )
    return UserError(
        f"'{target}' means {outside}, which is outside of the layers that read text",
        _WHERE,
        "known: " + ", ".join(sorted(known)),
    )


def add_lora(model: Any, config: LLMConfig) -> None:
    """Put LoRA into the layers that ``config.lora_targets`` names, in fp32 at least.

    Raises:
        UserError: if a name means no linear layer, or one that peft refuses.
    """
    from peft import LoraConfig, inject_adapter_in_model

    layers = find_targets(model, config.lora_targets)
    small = {n: min(m.weight.shape) for n, m in layers.items() if isinstance(m.weight, Tensor)}
    if small and config.lora_rank > min(small.values()):
        name = min(small, key=lambda name: small[name])
        logging.warning(
            "llm_conf.lora_rank: %d is more than the rank of %s, which is %d at most; a smaller "
            "one says the same",
            config.lora_rank, name, small[name],
        )  # fmt: skip
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(layers),
    )
    try:
        inject_adapter_in_model(lora, model.get_decoder())
    except ValueError as error:  # layers that peft knows to be read past, as in Mamba
        reason = " ".join(str(error).split())
        raise UserError(f"peft refuses LoRA there ({reason})", _WHERE, "name others") from error
    # Training peft's matrices in a low precision would lose small updates.
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(working_dtype(parameter))


class LoRA:
    """LoRA of peft as an :class:`espnet_otreg.slm.adapter.Adapter`: the same for all rows.

    Args:
        config: ``adapter: lora`` and its sizes.
    """

    def __init__(self, config: LLMConfig) -> None:
        self._config = config
        self._layers: list[Any] = []
        self._weights: list[Tensor] = []  # as they were, while LoRA is merged into copies

    def attach(self, model: Any) -> None:
        """Put LoRA into the layers that the configuration names; see :func:`add_lora`."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        add_lora(model, self._config)
        self._layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]

    def route(self, tasks: Sequence[str]) -> None:
        """Nothing: every row passes the same matrices."""

    @property
    def mergeable(self) -> bool:
        """Whether some weights are in full precision, and LoRA apart from them."""
        return bool(self._exact()) and not self._weights

    def _exact(self) -> list[Any]:
        """The layers whose weights would not round small updates away."""
        return [x for x in self._layers if x.get_base_layer().weight.dtype == torch.float32]

    def merge(self) -> None:
        """Replace weights in full precision by copies with LoRA's products added."""
        layers = self._exact()
        self._weights = [layer.get_base_layer().weight.data for layer in layers]
        for layer in layers:
            layer.merge(safe_merge=True)  # into a copy

    def unmerge(self) -> None:
        """Put the weights back, to the last bit."""
        merged = [layer for layer in self._layers if layer.merged]
        for layer in merged:
            layer.unmerge()  # subtracts, which rounds: only so that peft knows
        for layer, weight in zip(merged, self._weights, strict=True):  # some may share theirs
            layer.get_base_layer().weight.data = weight
        self._weights = []

    def saved_names(self, model: nn.Module) -> set[str]:
        """All of its matrices: no pretrained model brings them back."""
        return {name for name, _ in model.named_parameters() if "lora_" in name}
