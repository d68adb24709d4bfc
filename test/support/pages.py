"""The code blocks of README and docs, which the tests run."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def block_with(page: str, language: str, words: str) -> str:
    """The one code block of a page of docs that holds these words."""
    (found,) = [block for block in blocks(DOCS / page, language) if words in block]
    return found
