"""Feature matrices in Kaldi archives, with every header checked before it is used.

Kaldi knows matrices of float32. What an encoder gives in bfloat16 is kept as that, under a tag of
our own (``BM`` where Kaldi has ``FM``, with the same header): half as much to store and to read.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from espnet_otreg.data.digests import UTT2DIGEST
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json

_BINARY = b"\0B"
_BFLOAT16 = b"BM "
_SHAPE = struct.Struct("<bibi")  # as Kaldi writes it: the bytes of an integer, then the integer
_AGAIN = "run stage 4 (features) again"
_DAMAGED = "the archive is damaged: run stage 4 (features) again with --force"


def matrix_digest(features: NDArray[np.float32]) -> str:
    """sha256 of the numbers of a matrix.

    >>> matrix_digest(np.zeros((2, 3), np.float32))[:8]
    '9d908ecf'
    """
    return hashlib.sha256(np.ascontiguousarray(features, "<f4")).hexdigest()


def write_matrix(
    archive: IO[bytes], key: str, features: NDArray[np.float32], dtype: str = "float32"
) -> int:
    """Append a matrix (T, D) to an archive.

    Args:
        archive: open for writing.
        key: of the utterance.
        features: float32; for ``bfloat16`` numbers that have this precision already.
        dtype: ``"float32"`` or ``"bfloat16"``, in which the numbers are stored.

    Returns:
        The offset of the matrix, for :func:`read_features`.

    Raises:
        ValueError: if numbers would change.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     offset = write_matrix(file, "a", np.full((2, 3), 0.5, np.float32), "bfloat16")
    ...     file.flush()
    ...     read_features(f"{file.name}:{offset}", "a").tolist(), file.tell() - offset
    ([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]], 27)
    """
    if dtype == "float32":
        import kaldiio

        offset = archive.tell() + len(key.encode()) + 1
        kaldiio.save_ark(archive, {key: features})
        return offset
    bits = np.ascontiguousarray(features, "<f4").view("<u4")
    if (bits & 0xFFFF).any():
        raise ValueError("these numbers have more digits than bfloat16")
    archive.write(f"{key} ".encode())
    offset = archive.tell()
    archive.write(_BINARY + _BFLOAT16 + _SHAPE.pack(4, bits.shape[0], 4, bits.shape[1]))
    archive.write((bits >> 16).astype("<u2").tobytes())
    return offset


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
        if file.read(len(_BFLOAT16)) == _BFLOAT16:
            return _read_bfloat16(file)
        file.seek(offset)
        features = np.asarray(read_matrix_or_vector(file), dtype=np.float32)
        if file.tell() > os.fstat(file.fileno()).st_size or features.ndim != 2:
            raise ValueError("no whole matrix is there")
    return features


def _read_bfloat16(file: IO[bytes]) -> NDArray[np.float32]:
    four, rows, also_four, columns = _SHAPE.unpack(file.read(_SHAPE.size))
    left = os.fstat(file.fileno()).st_size - file.tell()
    if (four, also_four) != (4, 4) or rows < 0 or columns < 0 or 2 * rows * columns > left:
        raise ValueError("no whole matrix is there")
    halves = np.frombuffer(file.read(2 * rows * columns), "<u2").astype("<u4")
    halves <<= 16  # in place
    return halves.view("<f4").reshape(rows, columns)


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

    Each is compared with its digest when it is read first, where there is an ``utt2digest`` beside
    the table.

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
        features = read_features(self._sources[key], key, self._digests.get(key))
        self._digests.pop(key, None)  # every epoch reads it again, from the same file
        return features

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)
