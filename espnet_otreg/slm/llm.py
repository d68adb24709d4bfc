"""Any causal LLM of Hugging Face as the last part of a spoken language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.directory import resolve_model
from espnet_otreg.ot.costs import working_dtype
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.llm_files import no_row
from espnet_otreg.slm.lora import add_lora, merge_lora
from espnet_otreg.slm.pretrained import load_pretrained
from espnet_otreg.slm.prompt import check_vocabulary, find_anchor, load_tokenizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "checkpoint": "auto"}
# The names that a model which also sees has given to the weights of its text part.
_TEXT_PART = {
    r"^language_model\.lm_head\.": "lm_head.",
    r"^(model\.)?language_model\.(model\.)?": "model.",
}
_PROBE = 8  # tokens, within the positions of any LLM
_ROWS = 8192  # embedding rows at a time, so that a large vocabulary needs no second table


def _load(config: LLMConfig) -> Any:
    from transformers import AutoModelForCausalLM

    settings = resolve_model(config.model) / "config.json"
    kind = read_json(settings).get("model_type") if settings.is_file() else None
    return load_pretrained(
        AutoModelForCausalLM,
        config.model,
        "causal LLM",
        key_mapping=_TEXT_PART if str(kind).endswith("_text") else None,
        dtype=_DTYPES[config.dtype],
    )


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
        self.anchor_id = find_anchor(self.tokenizer, config, self.vocabulary_size)
        check_vocabulary(self.tokenizer, self.vocabulary_size, config.model)
        self.model.requires_grad_(False)
        if config.adapter == "lora":
            add_lora(self.model, config)
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

    def merge_adapter(self) -> None:
        """Add LoRA's products to the LLM's weights, which makes inference faster.

        Logits of a few tokens are compared before and after. LoRA stays apart, with a word in the
        log, if they differ, and without one where weights are in a low precision.

        Raises:
            UserError: if the LLM gives NaN.
        """
        training = self.training
        self.eval()  # dropout would be a difference
        merge_lora(self.model, self._probe)
        self.train(training)

    @torch.no_grad()
    def _probe(self) -> Tensor:
        """Logits of a few tokens from all over the vocabulary."""
        device = self.model.get_input_embeddings().weight.device
        ids = torch.linspace(0, self.vocabulary_size - 1, 2 * _PROBE, device=device).long()
        mask = torch.ones(2, _PROBE, dtype=torch.long, device=device)
        inputs = self.embed(ids.view(2, _PROBE))
        return self.logits_at(inputs, mask, mask.cumsum(dim=1) - 1, mask.bool())

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

    def check_tokens(self, transcripts: Sequence[Sequence[int]], names: Sequence[str]) -> None:
        """Find a transcript with a token that the embedding table has no row for.

        Args:
            transcripts: lists of token ids; a special token can stand in a transcript.
            names: of the utterances, for the message.

        Raises:
            UserError: naming the utterance and the token.
        """
        for number, ids in enumerate(transcripts):
            if (last := max(ids, default=0)) >= self.vocabulary_size:
                token = str(self.tokenizer.convert_ids_to_tokens(last))
                raise UserError(
                    no_row(token, last, self.vocabulary_size),
                    f"utterance {names[number] if names else f'number {number}'}",
                    "remove it from the transcript",
                )

    @property
    def max_positions(self) -> int | None:
        """Positions that the LLM was made for; None if it does not count them.

        Rotary positions go on behind the last one, but the LLM has never seen what is there. A
        scaling (YaRN and others) that was set later than the declared number counts.
        """
        config = self.model.config.get_text_config()
        declared = getattr(config, "max_position_embeddings", None)
        if not isinstance(declared, int) or declared < 1 or getattr(config, "alibi", False):
            return None
        rotary = getattr(config, "rope_parameters", None) or {}
        scalings = [rotary, *(value for value in rotary.values() if isinstance(value, dict))]
        scaled = [
            int(scaling["original_max_position_embeddings"] * scaling["factor"])
            for scaling in scalings
            if scaling.get("original_max_position_embeddings") and scaling.get("factor")
        ]
        return max([declared, *scaled])

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
