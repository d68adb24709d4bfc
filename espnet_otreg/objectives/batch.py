"""What the tensors of a training batch stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from espnet_otreg.arguments import checked
from espnet_otreg.objectives.base import LANGUAGE, SPEECH, TEXT
from espnet_otreg.slm.embeddings import mask_from_lengths


def languages_of(batch: Mapping[str, Any]) -> list[str]:
    """Names of the languages of a batch, from the code points that the preprocessor made of them.

    >>> import torch
    >>> codes = torch.tensor([[105, 116, -1], [121, 117, 101]])
    >>> languages_of({"language": codes, "language_lengths": torch.tensor([2, 3])})
    ['it', 'yue']
    >>> languages_of({"speech": torch.zeros(2, 9)})
    ['default', 'default']
    """
    codes, lengths = batch.get(LANGUAGE), batch.get(f"{LANGUAGE}_lengths")
    if codes is None or lengths is None:
        return ["default"] * len(batch[SPEECH])
    rows = zip(codes.tolist(), lengths.tolist(), strict=True)
    return ["".join(map(chr, row[:length])) for row, length in rows]


def token_ids(batch: Mapping[str, Any], name: str = TEXT) -> tuple[Tensor, Tensor]:
    """Token ids (B, T) of a transcript, and the mask (B, T) of those that are no padding.

    >>> import torch
    >>> batch = {"text": torch.tensor([[5, 6, -1]]), "text_lengths": torch.tensor([2])}
    >>> token_ids(batch)
    (tensor([[5, 6]]), tensor([[True, True]]))
    """
    lengths = batch[f"{name}_lengths"]
    ids = batch[name][:, : int(lengths.max())]
    return ids, mask_from_lengths(lengths, ids.size(1))


@checked
def transcripts_of(batch: Mapping[str, Any], name: str = TEXT) -> list[list[int]]:
    """Token ids of the transcripts, without padding.

    Args:
        batch: with ``name``, (B, T) token ids, and ``name_lengths``, (B,).
        name: of the data.

    Raises:
        ValueError: if one of the two is missing.

    >>> import torch
    >>> batch = {"text": torch.tensor([[5, 6], [7, -1]]), "text_lengths": torch.tensor([2, 1])}
    >>> transcripts_of(batch)
    [[5, 6], [7]]
    """
    missing = {name, f"{name}_lengths"} - batch.keys()
    if missing:
        raise ValueError(f"expected {' and '.join(map(repr, sorted(missing)))} in the batch")
    rows = zip(batch[name].tolist(), batch[f"{name}_lengths"].tolist(), strict=True)
    return [row[:length] for row, length in rows]
