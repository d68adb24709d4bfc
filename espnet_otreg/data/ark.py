"""Feature matrices from Kaldi archives, with every header checked before it is used."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.digests import UTT2DIGEST
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

_BINARY = b"\0B"
_AGAIN = "run stage 3 (features) again"
_DAMAGED = "the archive is damaged: run stage 3 (features) again with --force"


def matrix_digest(features: NDArray[np.float32]) -> str:
    """sha256 of the numbers of a matrix.

    >>> matrix_digest(np.zeros((2, 3), np.float32))[:8]
    '9d908ecf'
    """
    return hashlib.sha256(np.ascontiguousarray(features, "<f4")).hexdigest()


def read_features(source: str, utterance: str, digest: str | None = None) -> NDArray[np.float32]:
    """A matrix (T, D) of a Kaldi archive.

    Kaldi's readers run a ``source`` that ends in ``|`` as a command, and kaldiio unpickles what an
    archive marks as pickled. Both would let a data directory run code; here both are faults.

    Args:
        source: ``FILE:OFFSET``.
        utterance: for messages.
        digest: that :func:`matrix_digest` gave when it was written.

    Raises:
        UserError: if it cannot be read, is no matrix, empty, not finite or not what was written,
            naming the utterance.
    """
    where = f"utterance {utterance} ({source})"
    path, _, offset = source.rpartition(":")
    try:
        if not offset.isdecimal() or "|" in path:
            raise ValueError("expected FILE:OFFSET")
        features = _read_matrix(path, int(offset))
    except Exception as error:  # a damaged archive raises many kinds
        raise UserError(f"the features cannot be read ({error})", where, _AGAIN) from error
    if not features.size or not np.isfinite(features).all():
        fault = "contain NaN or infinity" if features.size else "are empty"
        raise UserError(f"the features {fault}", where, "make them again")
    if digest is not None and matrix_digest(features) != digest:
        raise UserError("the features are not those that were written", where, _DAMAGED)
    return features


def _read_matrix(path: str, offset: int) -> NDArray[np.float32]:
    from kaldiio.matio import read_matrix_or_vector

    with open(path, "rb") as file:
        file.seek(offset)
        if file.read(len(_BINARY)) != _BINARY:
            raise ValueError("no binary matrix begins there")
        file.seek(offset)
        features = np.asarray(read_matrix_or_vector(file), dtype=np.float32)
        if file.tell() > os.fstat(file.fileno()).st_size or features.ndim != 2:
            raise ValueError("no whole matrix is there")
    return features


def read_description(path: str | Path) -> dict[str, Any]:
    """``feats.json``, which says what the features beside it are.

    Raises:
        UserError: if their dimension or the length of their frames is missing or impossible.
    """
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise UserError("expected keys and values", str(path), _AGAIN)
    dim, seconds = facts.get("dim"), facts.get("frame_seconds")
    if type(dim) is not int or dim < 1:
        raise UserError("'dim' is no positive whole number", str(path), _AGAIN)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError("'frame_seconds' is no positive number", str(path), _AGAIN)
    return facts


class FeatureTable(Mapping[str, NDArray[np.float32]]):
    """The matrices that a ``feats.scp`` lists, read when they are asked for.

    Each is compared with its digest where there is an ``utt2digest`` beside the table.

    Args:
        path: lines of ``<utterance> FILE:OFFSET``.

    Raises:
        UserError: if the form of the table is wrong; on access, as :func:`read_features`.
    """

    def __init__(self, path: str | Path) -> None:
        self._sources = read_table(path)
        digests = Path(path).with_name(UTT2DIGEST)
        self._digests = read_table(digests) if digests.is_file() else {}

    def __getitem__(self, key: str) -> NDArray[np.float32]:
        return read_features(self._sources[key], key, self._digests.get(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)
