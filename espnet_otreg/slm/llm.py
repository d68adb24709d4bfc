"""Any causal LLM of Hugging Face as the last part of a spoken language model."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.directory import resolve_model
from espnet_otreg.models_offline.pretrained import load_pretrained
from espnet_otreg.precision import working_dtype
from espnet_otreg.slm.adapter import build_adapter
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.llm_files import no_row
from espnet_otreg.slm.prompt import check_vocabulary, find_anchor, load_tokenizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "checkpoint": "auto"}
# The names that a model which also sees has given to the weights of its text part.
_TEXT_PART = {
    r"^language_model\.lm_head\.": "lm_head.",
    r"^(model\.)?language_model\.(model\.)?": "model.",
}
_PROBE = 8  # tokens, within the positions of any LLM
# Relative to the largest logit. Rounding in float32 made 3e-5 in SmolLM2 135M with LoRA everywhere.
_TOLERANCE = 5e-4
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


def cache_name(decoder: Any) -> str:
    """What a decoder calls its cache, in its arguments and in its output.

    Transformers 5.24 renames ``past_key_values`` to ``cache``, and 5.40 takes nothing else.

    >>> from transformers import LlamaConfig, LlamaModel
    >>> small = LlamaConfig(vocab_size=4, hidden_size=32, num_hidden_layers=1, intermediate_size=8)
    >>> cache_name(LlamaModel(small)) in ("cache", "past_key_values")
    True
    """
    arguments = inspect.signature(decoder.forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"


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
        self.adapter = build_adapter(config)
        if self.adapter is not None:
            self.adapter.attach(self.model)
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

    def merge_adapter(self) -> bool:
        """Add the adapter to the LLM's weights, which makes inference faster.

        A merged adapter has no gradient; training mode takes it apart again. Logits of a few
        tokens are compared before and after: the adapter stays apart, with a word in the log, if
        they differ, as where layers share weights.

        Returns:
            Whether it was apart before and no longer is.

        Raises:
            UserError: if the LLM gives NaN.
        """
        adapter = self.adapter
        if adapter is None or not adapter.mergeable:
            return False
        apart = self._probe()
        if not bool(torch.isfinite(apart).all()):
            raise UserError("the LLM with LoRA gives NaN or infinity", "checkpoint", "train again")
        adapter.merge()
        difference = (self._probe() - apart).abs().max()
        if bool(difference <= _TOLERANCE * apart.abs().max()):
            return True
        adapter.unmerge()
        logging.warning(
            "LoRA stays apart from the LLM's weights, which is slower: merged, the logits would "
            "differ by %.2g, as where layers share weights",
            float(difference),
        )
        return False

    @contextlib.contextmanager
    def merged(self) -> Iterator[None]:
        """The adapter is merged inside, if it can be, and afterwards as it was before.

        Raises:
            UserError: as :meth:`merge_adapter`.
        """
        if not self.merge_adapter():  # or somebody else has merged it
            yield
            return
        assert self.adapter is not None
        try:
            yield
        finally:
            self.adapter.unmerge()

    def train(self, mode: bool = True) -> LLM:
        """Training mode, in which an adapter is never merged, or evaluation mode."""
        if mode and self.adapter is not None:
            self.adapter.unmerge()
        return super().train(mode)

    def saved_although_frozen(self) -> set[str]:
        """Names of parameters that checkpoints hold even where they are not trained."""
        return set() if self.adapter is None else self.adapter.saved_names(self)

    @torch.no_grad()
    def _probe(self) -> Tensor:
        """Logits of a few tokens from all over the vocabulary, without dropout."""
        training = self.model.training
        self.model.eval()
        device = self.model.get_input_embeddings().weight.device
        ids = torch.linspace(0, self.vocabulary_size - 1, 2 * _PROBE, device=device).long()
        mask = torch.ones(2, _PROBE, dtype=torch.long, device=device)
        inputs = self.embed(ids.view(2, _PROBE))
        logits = self.logits_at(inputs, mask, mask.cumsum(dim=1) - 1, mask.bool())
        self.model.train(training)
        return logits

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LLM:
        """Move between devices, but keep every dtype: ESPnet's ``model.to(float32)`` must not
        double the memory of a bfloat16 LLM."""

        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved.to(tensor.dtype) if moved.dtype != tensor.dtype else moved

        if self.adapter is not None:
            self.adapter.unmerge()  # what it will put back would stay behind
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

    def forward(
        self,
        inputs: Tensor,
        attention_mask: Any,
        position_ids: Tensor,
        *,
        tasks: Sequence[str] = (),
        cache: Any = None,
        remember: bool = False,
    ) -> tuple[Tensor, Any]:
        """Outputs of the decoder: training, reading of prompts, search and sampling all pass here.

        Args:
            inputs: (B, L, D) embeddings, in any precision.
            attention_mask: (B, L), or what Transformers takes instead: (B, 1, L, past + L) of what
                is added to the scores, or one such mask for each kind of layer.
            position_ids: (B, L).
            tasks: what the B rows are about, for an adapter that treats them differently.
            cache: what was remembered of the past; see
                :class:`espnet_otreg.decoding.state.LLMState`, which owns it.
            remember: whether to return a cache with these inputs, too.

        Returns:
            (B, L, D) outputs, from which :meth:`logits` follow, and the cache, if it is asked for.
        """
        if self.adapter is not None:
            self.adapter.route(tasks)
        decoder = self.model.get_decoder()
        name = cache_name(decoder)
        output = decoder(
            inputs_embeds=inputs.to(self.model.get_input_embeddings().weight.dtype),
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=remember,
            **({} if cache is None else {name: cache}),
        )
        return output.last_hidden_state, output[name] if remember else None

    def logits_at(
        self,
        inputs: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        at: Tensor,
        tasks: Sequence[str] = (),
    ) -> Tensor:
        """Next-token logits, computed only where they are wanted.

        Args:
            inputs: (B, L, D) embeddings.
            attention_mask: (B, L).
            position_ids: (B, L).
            at: (B, L) booleans with N true values.
            tasks: what the B rows are about.

        Returns:
            (N, V) in fp32, equal to the LLM's own logits at those positions.
        """
        hidden, _ = self(inputs, attention_mask, position_ids, tasks=tasks)
        return self.logits(hidden[at])

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) outputs of the decoder to (..., V) next-token logits in fp32, or in fp64 if
        the LLM is."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        logits = logits.to(working_dtype(logits))
        cap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        return cap * torch.tanh(logits / cap) if cap else logits
