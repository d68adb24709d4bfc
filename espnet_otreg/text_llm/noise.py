"""Text as a CTC read-out of speech would deliver it: misspelt, and blurred between tokens.

An LLM that learns to write clean text from such sequences of its own token embeddings meets
nothing new when the projector's embeddings take their place (closing the modality gap is what
makes that hold).
"""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor

# Letters that sound alike in at least one of the languages.
_ALIKE = (
    "aeiouyáàâäéèêëíìîïóòôöúùûüœæ", "bpv", "dt", "gkcqj", "sszçcxj", "mnñ", "lr", "fvh",
    "аоеиуыэюяйё", "бп", "вф", "гкх", "дт", "жшщч", "зсц", "лр", "мн", "ьъ",
)  # fmt: skip
_LATIN = "abcdefghilmnopqrstuvz"
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщыьэюя"
_NEIGHBOURS: dict[str, str] = {}
for _group in _ALIKE:
    for _letter in _group:
        others = "".join(sorted(set(_group) - {_letter}))
        _NEIGHBOURS[_letter] = _NEIGHBOURS.get(_letter, "") + others


def misspell(text: str, language: str, rate: float, rng: random.Random) -> str:
    """Delete, replace and insert characters, mostly by ones that sound alike.

    Args:
        text: normalised text.
        language: decides the alphabet of insertions.
        rate: share of the characters that are touched.
        rng: the only source of randomness.

    >>> misspell("attendere prego", "it", 0.0, random.Random(0))
    'attendere prego'
    """
    alphabet = _CYRILLIC if language == "ru" else _LATIN
    result: list[str] = []
    for character in text:
        draw = rng.random() / rate if rate > 0 else 1.0
        if draw < 0.25:
            continue
        if draw < 0.75 and character != " ":
            near = _NEIGHBOURS.get(character)
            result.append(rng.choice(near if near and rng.random() < 0.7 else alphabet))
            continue
        if draw < 0.9:
            result.append(rng.choice(alphabet))
        elif draw < 1.0 and character != " ":
            result.append(" ")
        result.append(character)
    return "".join(result)


def blur(
    token_ids: Tensor,
    table: Tensor,
    level: Tensor,
    mixing: float,
    gaussian: float,
    generator: torch.Generator,
) -> Tensor:
    """Embeddings between tokens: each is mixed with another token's and gets Gaussian noise.

    e = (1 - a) table[id] + a table[other] + gaussian level n, with a ~ level mixing Beta(1, 2)
    and n of the norm of the table's rows.

    Args:
        token_ids: (B, N).
        table: (V, D) the LLM's embeddings.
        level: (B,) how noisy each sequence is; 0 = clean.
        mixing, gaussian: strengths at level 1.
        generator: the only source of randomness.

    Returns:
        (B, N, D), detached.

    >>> table = torch.eye(3)
    >>> blur(torch.tensor([[2]]), table, torch.zeros(1), 0.6, 0.3, torch.Generator()).tolist()
    [[[0.0, 0.0, 1.0]]]
    """
    table = table.detach()
    level = level[:, None, None]
    others = torch.randint(0, len(table), token_ids.shape, generator=generator)
    # Beta(1, 2) by inversion: its distribution function is 1 - (1 - x)^2.
    beta = 1 - torch.rand((*token_ids.shape, 1), generator=generator).sqrt()
    share = (beta * level * mixing).clamp(max=0.9)
    mixed = torch.lerp(F.embedding(token_ids, table), F.embedding(others, table), share)
    noise = torch.randn(mixed.shape, generator=generator)
    scale = gaussian * float(table.norm(dim=1).mean()) / table.size(1) ** 0.5
    return mixed + noise * scale * level
