"""Keys and values of rows that have read differently much, in one cache of Transformers."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

_OLD_NAME = "past_key_values"


def cache_name(decoder: Any) -> str:
    """What a decoder calls its cache, in its arguments and in its output.

    Transformers 5.24 renames ``past_key_values`` to ``cache``, and 5.40 takes nothing else.

    >>> from transformers import LlamaConfig, LlamaModel
    >>> small = LlamaConfig(vocab_size=4, hidden_size=32, num_hidden_layers=1, intermediate_size=8)
    >>> cache_name(LlamaModel(small)) in ("cache", "past_key_values")
    True
    """
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else _OLD_NAME


def can_join(cache: Any) -> bool:
    """Whether every layer keeps keys and values alone (full attention or a sliding window).

    >>> from transformers import DynamicCache, StaticCache, LlamaConfig
    >>> small = LlamaConfig(num_hidden_layers=1)
    >>> can_join(DynamicCache(config=small)), can_join(StaticCache(config=small, max_cache_len=4))
    (True, False)
    """
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


def join(cache: Any, other: Any) -> None:
    """Put the rows of another cache below those of this one.

    Rows that have read less are padded on the left, where their attention mask has to be 0: the
    newest keys of all rows stand side by side, as the next token needs them.

    Args:
        cache: R rows; has R + R' afterwards.
        other: R' rows, of the same LLM.
    """
    for layer, more in zip(cache.layers, other.layers, strict=True):
        if not layer.is_initialized:  # it shares the keys of another layer
            continue
        length = max(layer.get_seq_length(), more.get_seq_length())
        layer.keys = torch.cat([_aged(layer, t, length) for t in (layer.keys, more.keys)])
        layer.values = torch.cat([_aged(layer, t, length) for t in (layer.values, more.values)])
        if layer.is_sliding:
            layer.cumulative_length = length


def _aged(layer: Any, tensor: Tensor, length: int) -> Tensor:
    """(R, H, L, D) keys or values as if ``length`` tokens had been read."""
    kept = min(length, layer.sliding_window - 1) if layer.is_sliding else length
    return pad(tensor, (0, 0, kept - tensor.size(2), 0))


def drop_oldest(cache: Any, count: int) -> None:
    """Forget the first ``count`` positions of all rows, which are padding everywhere."""
    for layer in cache.layers:
        if not layer.is_initialized:
            continue
        left = layer.get_seq_length() - count
        layer.keys, layer.values = layer.keys[:, :, -left:], layer.values[:, :, -left:]
        if layer.is_sliding:
            layer.cumulative_length = left
