"""Loading pretrained weights: none may be missing, unknown or NaN.

``from_pretrained`` of transformers fills what a file lacks with random numbers and leaves out what
it does not know; both are a note in its log. Here they are errors, because the model would be
another one, and another one at each load.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.directory import resolve_model

_SHOWN = 3  # names in a message
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_POINTER = b"version https://git-lfs"
_AGAIN = "get the whole model again (tools/fetch_model.py or the hub), with its own config.json"
# What published files hold beside the model that config.json describes. None of it is a weight
# of that model: buffers that are computed today, scales for quantised activations and caches.
_LEFTOVERS = (
    r"rotary_emb\.inv_freq$",
    r"(^|\.)position_ids$",
    r"(^|\.)(attn|attention)\.(bias|masked_bias)$",
    r"\.[qkv]_scale$",
    r"\.(input|activation|prob|kv)_scale$",
    r"(^|\.)num_batches_tracked$",
)
# An LLM that could also see or hear is used as a reader of text.
_OTHER_SENSES = (
    r"(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|mm_projector|audio_tower"
    r"|embed_vision|embed_audio)\."
)
_STORED_QUANTISED = ("I8", "F8_E4M3", "F8_E5M2")
_STORED_INTEGERS = ("BOOL", "U8", "I16", "U16", "I32", "U32", "I64", "U64")


def first_names(names: Iterable[str]) -> str:
    """The first few of some names, and how many more there are.

    >>> first_names(["b.weight", "a.weight"])
    'a.weight, b.weight'
    >>> first_names("fedcba")
    'a, b, c and 3 more'
    """
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more


def nonfinite(tensors: Mapping[str, Any]) -> list[str]:
    """Names of the tensors that hold NaN or infinity; what is no floating-point tensor is fine.

    >>> nonfinite({"a": torch.tensor([1.0, float("nan")]), "b": torch.ones(2), "c": 3})
    ['a']
    """
    return [
        name
        for name, value in tensors.items()
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel()
        if not _is_finite(value.detach())
    ]


def _is_finite(values: Tensor) -> bool:
    if values.element_size() == 1:  # PyTorch does not compare numbers of 8 bits
        values = values.float()
    # The extremes keep NaN and need no second copy of a large table.
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(values))


def load_pretrained(
    cls: Any, model: str | Path, what: str, *, unused: Sequence[str] = (), **options: Any
) -> Any:
    """A pretrained model of which every weight comes from its files.

    Args:
        cls: a class of transformers with ``from_pretrained``.
        model: a local directory or a hub name.
        what: the kind of model, for messages, such as ``"causal LLM"``.
        unused: regular expressions of weights that the caller never reads: they may be missing
            (they become zero) and they may be too many.
        **options: of ``from_pretrained``, such as ``dtype`` or ``config``.

    Returns:
        The model in evaluation mode.

    Raises:
        UserError: if it cannot be read, or weights are missing, unknown, of other sizes than
            ``config.json`` says, quantised without saying how, or not finite.

    ::

        load_pretrained(AutoModelForCausalLM, "exp/llm", "causal LLM", dtype=torch.float32)
    """
    from transformers.utils import logging as transformers_logging

    directory = resolve_model(str(model))
    transformers_logging.disable_progress_bar()
    with reading(what, model) as report:
        if "gguf_file" not in options:
            _check_files(directory)
        loaded, found = cls.from_pretrained(
            str(directory), output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
        report.clear()  # it says what is said below
    ours = re.compile("|".join(unused) or r"(?!)")
    others = re.compile("|".join((*_LEFTOVERS, _OTHER_SENSES, *unused)))
    missing = {key for key in found["missing_keys"] if not ours.search(key)}
    unknown = {key for key in found["unexpected_keys"] if not others.search(key)}
    resized = {
        f"{key} {list(own)} instead of {list(expected)}"
        for key, own, expected in found["mismatched_keys"]
        if not ours.search(key)
    }
    problems = {
        "weights that are missing": missing,
        "weights that config.json does not describe": unknown,
        "weights of other sizes than config.json says": resized,
    }
    if any(problems.values()):
        faults = [f"{fault}: {first_names(keys)}" for fault, keys in problems.items() if keys]
        raise UserError("; ".join(faults), str(model), _AGAIN)
    _check_tied(loaded, model)
    state = loaded.state_dict()
    with torch.no_grad():
        for key in found["missing_keys"] - missing:
            state[key].zero_()  # not random: two loads are equal
    if wrong := [key for key in nonfinite(state) if not ours.search(key)]:
        raise UserError(f"weights with NaN or infinity: {first_names(wrong)}", str(model), _AGAIN)
    return loaded


def _check_tied(loaded: Any, model: str | Path) -> None:
    """Whether the output layer is the embedding table where config.json says so."""
    head = getattr(loaded.get_output_embeddings(), "weight", None)
    if head is None or not getattr(loaded.config, "tie_word_embeddings", False):
        return
    if loaded.get_input_embeddings().weight is not head:
        raise UserError(
            "an output layer that differs from the embeddings, and config.json ties them",
            str(model),
            'if the weights are right, write "tie_word_embeddings": false into config.json',
        )


@contextlib.contextmanager
def reading(what: str, model: str | Path) -> Iterator[list[str]]:
    """One sentence for whatever goes wrong in the block; the library's own report is kept back.

    Args:
        what: the kind of model, for the message.
        model: its directory or hub name.

    Raises:
        UserError: instead of any other error.
    """
    report: list[str] = []

    def keep_back(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        told = "LOAD REPORT" in text or "seem corrupted" in text
        if told:
            report.append(re.sub(r"\x1b\[[0-9;]*m", "", text))
        return not told

    library = logging.getLogger("transformers.modeling_utils")
    library.addFilter(keep_back)
    try:
        yield report
    except UserError as error:
        raise UserError(error.what, error.where or str(model), error.mend or _AGAIN) from error
    except Exception as error:  # files of strangers and their library fail in many ways
        names = re.findall(r"^(\S+)\s*\|\s*CONVERSION", "\n".join(report), re.MULTILINE)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        if names:
            reason = f"weights that do not fit together: {first_names(names)}"
        raise UserError(
            f"no {what} could be loaded ({reason})",
            str(model),
            "give the directory of a model (tools/fetch_model.py makes one) or a hub name",
        ) from error
    finally:
        library.removeFilter(keep_back)


def _check_files(directory: Path) -> None:
    """What the files of a model say themselves, before anything is loaded."""
    from safetensors import safe_open

    if (directory / "adapter_config.json").is_file():
        raise UserError(
            "an adapter (adapter_config.json) and no whole model",
            mend="merge it into its model with peft's merge_and_unload and save that",
        )
    for pattern in ("*.safetensors", "*.bin"):
        for path in sorted(directory.glob(pattern)):
            with open(path, "rb") as start:
                if start.read(len(_POINTER)) == _POINTER:
                    raise UserError(
                        f"{path.name} is a pointer of Git LFS and no weights",
                        mend="run git lfs pull in the model's repository",
                    )
    placed: dict[str, str] = {}
    if (directory / _INDEX).is_file() and not (directory / _SINGLE).is_file():
        index = read_json(directory / _INDEX)
        found = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(found, dict) or not found:
            raise UserError(f"{_INDEX} does not say which file holds which weight")
        placed = found
    files = sorted(set(placed.values())) or [_SINGLE]
    config = directory / "config.json"
    plain = config.is_file() and "quantization_config" not in read_json(config)
    for name in files:
        if not (directory / name).is_file():
            if placed:
                raise UserError(f"{_INDEX} names {name}, which is not there")
            return  # weights in another format, or none at all
        with safe_open(directory / name, "pt") as file:
            keys = set(file.keys())
            expected = {key for key, shard in placed.items() if shard == name}
            if placed and keys != expected:
                odd = first_names(keys ^ expected)
                raise UserError(f"{name} and {_INDEX} disagree about the weights {odd}")
            views = {key: file.get_slice(key) for key in keys if plain}
            quantised = [
                key
                for key, view in views.items()
                if (view.get_dtype() in _STORED_QUANTISED and len(view.get_shape()) > 1)
                or (view.get_dtype() in _STORED_INTEGERS and key.endswith("weight"))
            ]
        if quantised:
            raise UserError(
                f"quantised weights, and config.json does not say how: {first_names(quantised)}"
            )
