"""Which pieces of the vocabulary a recogniser takes for which others, by their spelling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Letters that sound alike in at least one of the languages.
ALIKE = (
    "aeiouyáàâäéèêëíìîïóòôöúùûüœæ", "bpv", "dt", "gkcqj", "sszçcxj", "mnñ", "lr", "fvh",
    "аоеиуыэюяйё", "бп", "вф", "гкх", "дт", "жшщч", "зсц", "лр", "мн", "ьъ",
)  # fmt: skip
_SPACE = "▁"  # SentencePiece's mark of a word's beginning
_BARELY_HEARD = "hьъe"
_SAME, _SIMILAR, _OTHER = 0.0, 0.45, 1.1
_SHARPNESS = 2.0  # a confusion that costs 0.35 more is half as frequent


def _letter_costs(letters: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(C, C) costs of one letter for another, and (C,) of one letter more or less."""
    alike = np.array([[any(a in g and b in g for g in ALIKE) for b in letters] for a in letters])
    substitution = np.where(alike, _SIMILAR, _OTHER).astype(np.float32)
    np.fill_diagonal(substitution, _SAME)
    cheap = {_SPACE: 0.45, **dict.fromkeys(_BARELY_HEARD, 0.6)}
    return substitution, np.array([cheap.get(c, 0.9) for c in letters], dtype=np.float32)


def spelling_distances(pieces: Sequence[str]) -> NDArray[np.float32]:
    """Weighted edit distances between all pairs; letters that sound alike are near.

    Args:
        pieces: V texts, none of them empty.

    Returns:
        (V, V), symmetric, zero on the diagonal.

    >>> distances = spelling_distances(["ta", "da", "fo"])
    >>> bool(distances[0, 1] < distances[0, 2])
    True
    """
    letters = "".join(sorted(set("".join(pieces))))
    substitution, insertion = _letter_costs(letters)
    lengths = np.array([len(piece) for piece in pieces])
    codes = np.zeros((len(pieces), lengths.max()), dtype=np.int64)
    for number, piece in enumerate(pieces):
        codes[number, : len(piece)] = [letters.index(c) for c in piece]
    width = codes.shape[1]
    count = len(pieces)
    result = np.zeros((count, count), dtype=np.float32)
    more = np.concatenate([np.zeros((count, 1)), insertion[codes].cumsum(axis=1)], axis=1)
    # All pairs at once: row[j] holds the distances of prefixes of lengths i and j.
    row = [np.broadcast_to(more[None, :, j], (count, count)) for j in range(width + 1)]
    for i in range(1, width + 1):
        a = codes[:, i - 1]
        following = [np.broadcast_to(more[:, None, i], (count, count))]
        for j in range(1, width + 1):
            b = codes[:, j - 1]
            following.append(
                np.minimum(
                    row[j - 1] + substitution[a[:, None], b[None, :]],
                    np.minimum(
                        row[j] + insertion[a][:, None], following[-1] + insertion[b][None, :]
                    ),
                )
            )
            here = (lengths[:, None] == i) & (lengths[None, :] == j)
            result[here] = following[-1][here]
        row = following
    return result


def nearest_pieces(
    pieces: Sequence[str], nearest: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each piece those that it is most easily taken for.

    p(b | a) ~ exp(-2 d(a, b)), with d of :func:`spelling_distances`.

    Args:
        pieces: V texts, none of them empty.
        nearest: how many to give for each.

    Returns:
        (V, N) indices and (V, N) cumulative probabilities, N = min(``nearest``, V - 1).

    >>> nearest_pieces(["ta", "da", "fo"], 1)[0].tolist()
    [[1], [0], [0]]
    """
    distances = spelling_distances(pieces)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(nearest, len(pieces) - 1)]
    likely = np.exp(-_SHARPNESS * np.take_along_axis(distances, order, axis=1).astype(np.float64))
    return order, (likely / likely.sum(axis=1, keepdims=True)).cumsum(axis=1)
