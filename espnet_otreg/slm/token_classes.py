"""The tokens in use: what the CTC read-out can read, from the training text only."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError
from espnet_otreg.files import sha256_file
from espnet_otreg.models_offline.directory import resolve_model
from espnet_otreg.slm.config import LLMConfig
from espnet_otreg.slm.llm_files import declared_rows, no_row
from espnet_otreg.slm.prompt import encode_transcript, find_anchor, load_tokenizer


def count_token_classes(
    transcripts: Sequence[str], llm: str, anchor_token: str | None = None
) -> dict[str, Any]:
    """Count the LLM's tokens in transcripts.

    Args:
        transcripts: of the training set only, so that no test text decides a class.
        llm: local directory or hub name.
        anchor_token: for an LLM without a usable pad token.

    Returns:
        ``token_ids`` (sorted), their ``counts``, ``anchor_token_id``, and the ``tokenizer``.

    Raises:
        UserError: if there is no text, no tokenizer or no anchor.
    """
    if not transcripts:
        raise UserError("no transcripts", "--text", "run stage 2 again")
    tokenizer = load_tokenizer(llm)
    counts: collections.Counter[int] = collections.Counter()
    for transcript in transcripts:
        counts.update(encode_transcript(tokenizer, transcript))
    rows = declared_rows(str(resolve_model(llm)))
    if rows is not None and counts and max(counts) >= rows:
        token = str(tokenizer.convert_ids_to_tokens(max(counts)))
        raise UserError(
            no_row(token, max(counts), rows), "--text", "remove it from the transcripts"
        )
    config = LLMConfig(llm, anchor_token=anchor_token)
    file = Path(llm) / "tokenizer.json"
    return {
        "token_ids": sorted(counts),
        "counts": [counts[identity] for identity in sorted(counts)],
        "anchor_token_id": find_anchor(tokenizer, config, rows),
        "tokenizer": {"path": llm, "sha256": sha256_file(file) if file.is_file() else None},
    }
