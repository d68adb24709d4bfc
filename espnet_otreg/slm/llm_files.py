"""What the files of an LLM say about its tokens, read without PyTorch and before anything loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet_otreg.files import read_json


def declared_rows(model: str) -> int | None:
    """Rows of the embedding table as ``config.json`` has them; None where it does not say.

    Args:
        model: a local directory; anything else gives None.

    >>> declared_rows("exp/none") is None
    True
    """
    path = Path(model) / "config.json"
    values = read_json(path) if path.is_file() else {}
    rows = (values.get("text_config") or values).get("vocab_size")
    return rows if isinstance(rows, int) else None


def no_row(token: str, identity: int, rows: int) -> str:
    """What is wrong with a token that the embedding table has no row for.

    >>> no_row("<pad>", 120, 120)
    "the token '<pad>' (120) has no row in the LLM's embedding table, which has 120"
    """
    return (
        f"the token {token!r} ({identity}) has no row in the LLM's embedding table, which has "
        f"{rows}"
    )


def anchor_errors(conf: Mapping[str, Any]) -> list[str]:
    """What is wrong with the anchor token of a local LLM, as far as its files tell.

    Args:
        conf: section ``llm_conf``.

    >>> anchor_errors({"model": "exp/none"})
    []
    """
    directory = Path(str(conf.get("model")))
    rows = declared_rows(str(directory))
    files = [directory / "tokenizer.json", directory / "tokenizer_config.json"]
    if rows is None or not all(file.is_file() for file in files):
        return []
    token = conf.get("anchor_token") or read_json(files[1]).get("pad_token")
    if isinstance(token, Mapping):
        token = token.get("content")
    if not isinstance(token, str):
        return []
    from tokenizers import Tokenizer

    try:
        identity = Tokenizer.from_file(str(files[0])).token_to_id(token)
    except Exception:  # what is wrong with the file is said where it is loaded
        return []
    if identity is None or identity < rows:
        return []
    return [f"llm_conf.anchor_token: {no_row(token, identity, rows)}; name another token"]
