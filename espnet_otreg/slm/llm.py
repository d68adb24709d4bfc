"""Any causal LLM of Hugging Face as the last part of a spoken language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.ot.costs import working_dtype
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.pretrained import load_pretrained
from espnet_otreg.slm.prompt import find_anchor, load_tokenizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "checkpoint": "auto"}
_ROWS = 8192  # embedding rows at a time, so that a large vocabulary needs no second table


def _load(config: LLMConfig) -> Any:
    from transformers import AutoModelForCausalLM

    dtype = _DTYPES[config.dtype]
    return load_pretrained(AutoModelForCausalLM, config.model, "causal LLM", dtype=dtype)


class LLM(nn.Module):
    """A causal LLM with its tokenizer, optionally with LoRA (peft), in its own dtype.

    Args:
        config: which LLM, and how it is adapted.

    Raises:
        UserError: if it cannot be loaded or has no usable anchor token.
    """

    def __init__(self, config: LLMConfig) -> None:
        super().__init__()
        self.tokenizer = load_tokenizer(config.model)
        self.model = _load(config)
        self.anchor_id = find_anchor(self.tokenizer, config)
        self.model.requires_grad_(False)
        if config.adapter == "lora":
            self._add_lora(config)
        if config.activation_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
            # A frozen embedding layer needs no gradient in this variant, whatever Transformers
            # prepares for the other one.
            self.model.disable_input_require_grads()
        if float(self.embed(torch.tensor([self.anchor_id])).norm()) == 0.0:
            raise UserError(
                "the anchor token's embedding is zero, so no cosine with it exists",
                config.model,
                "name another token in llm_conf.anchor_token",
            )

    def _add_lora(self, config: LLMConfig) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        lora = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=list(config.lora_targets),
        )
        try:
            # Not into the eyes of a model that also reads images, which would never learn.
            inject_adapter_in_model(lora, self.model.get_decoder())
        except ValueError as error:
            raise UserError(
                f"no layer of the LLM is named {' or '.join(config.lora_targets)}",
                "llm_conf.lora_targets",
                "name linear layers of this LLM",
            ) from error
        # Training peft's matrices in a low precision would lose small updates.
        for name, parameter in self.model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.to(working_dtype(parameter))

    def merge_adapter(self) -> None:
        """Add LoRA's products to the LLM's weights, which makes inference faster.

        Weights in a low precision stay apart: small updates would be rounded away.
        """
        from peft.tuners.tuners_utils import BaseTunerLayer

        for module in self.model.modules():
            if isinstance(module, BaseTunerLayer) and not module.merged:
                if module.get_base_layer().weight.dtype == torch.float32:
                    module.merge()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LLM:
        """Move between devices, but keep every dtype: ESPnet's ``model.to(float32)`` must not
        double the memory of a bfloat16 LLM."""

        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved.to(tensor.dtype) if moved.dtype != tensor.dtype else moved

        super()._apply(keep_dtype, recurse)
        return self

    def embed(self, token_ids: Tensor) -> Tensor:
        """(...) token ids to (..., D): the output of the embedding layer, its scale included."""
        embedded: Tensor = self.model.get_input_embeddings()(token_ids)
        return embedded

    @property
    def embedding_size(self) -> int:
        """D."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding table."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @torch.no_grad()
    def mean_embedding_norm(self) -> float:
        """Mean Euclidean norm of the embedding layer's output over the vocabulary."""
        device = self.model.get_input_embeddings().weight.device
        chunks = torch.arange(self.vocabulary_size, device=device).split(_ROWS)
        total = sum(self.embed(ids).float().norm(dim=-1).sum() for ids in chunks)
        return float(total) / self.vocabulary_size

    def logits_at(
        self, inputs: Tensor, attention_mask: Tensor, position_ids: Tensor, at: Tensor
    ) -> Tensor:
        """Next-token logits, computed only where they are wanted.

        Args:
            inputs: (B, L, D) embeddings.
            attention_mask: (B, L).
            position_ids: (B, L).
            at: (B, L) booleans with N true values.

        Returns:
            (N, V) in fp32, equal to the LLM's own logits at those positions.
        """
        hidden = self.model.get_decoder()(
            inputs_embeds=inputs.to(self.model.get_input_embeddings().weight.dtype),
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=False,
        ).last_hidden_state[at]
        return self.logits(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) outputs of the decoder to (..., V) next-token logits in fp32, or in fp64 if
        the LLM is."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        logits = logits.to(working_dtype(logits))
        cap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        return cap * torch.tanh(logits / cap) if cap else logits
