"""Results in RESULTS.md and other documents: sections between markers, each from its own run."""

from __future__ import annotations

import re
from pathlib import Path

from espnet_otreg.errors import UserError
from espnet_otreg.files import atomic_write

HEADER = """# Results

Written by stage 14 of the recipe (`espnet_otreg.bin.slm_report`), never by hand: one section for
each experiment, with everything else in `results/`. Rates are pooled within a language and test
set; "macro" is the mean over languages of the mean over a language's test sets. ID is in-domain,
OOD out-of-domain, "synth." synthetic speech.
"""
README_START, README_END = "<!-- results: {} -->", "<!-- end of results -->"
_SECTION = re.compile(r"<!-- experiment: (?P<name>\S+) -->\n.*?<!-- end of experiment -->\n", re.S)


def merge_section(existing: str, name: str, section: str) -> str:
    """RESULTS.md with the section of experiment ``name`` put in or replaced.

    Args:
        existing: the file's content so far; may be empty.
        name: of the experiment.
        section: Markdown.

    >>> first = merge_section("", "mini", "## Mini")
    >>> both = merge_section(first, "pretrained", "## Pretrained")
    >>> again = merge_section(both, "mini", "## Mini, better")
    >>> [line for line in again.splitlines() if line.startswith("## ")]
    ['## Mini, better', '## Pretrained']
    """
    block = f"<!-- experiment: {name} -->\n{section.rstrip()}\n<!-- end of experiment -->\n"
    blocks = {match["name"]: match[0] for match in _SECTION.finditer(existing)}
    blocks[name] = block
    return "\n".join([HEADER, *(blocks[key] for key in sorted(blocks))])


def write_results(path: str | Path, name: str, section: str) -> None:
    """Put the section of one experiment into RESULTS.md, which is made if it does not exist."""
    path = Path(path)
    existing = path.read_text(encoding="utf-8") if path.is_file() else ""
    with atomic_write(path) as file:
        file.write(merge_section(existing, name, section))


def rewrite_between_markers(text: str, name: str, content: str, where: str = "") -> str:
    """Text with everything between the results markers of an experiment replaced.

    The start marker names the experiment, so that a README can show one of several.

    Raises:
        UserError: if the markers are not there once each and in this order.

    >>> old = "a\\n<!-- results: mini -->\\nold\\n<!-- end of results -->\\nb\\n"
    >>> print(rewrite_between_markers(old, "mini", "new"), end="")
    a
    <!-- results: mini -->
    new
    <!-- end of results -->
    b
    """
    start_marker = README_START.format(name)
    before, start, rest = text.partition(start_marker)
    _, end, after = rest.partition(README_END)
    if not (start and end) or start_marker in after or README_END in before:
        raise UserError(
            "the markers of the results are not there once each",
            where,
            f"put {start_marker} and {README_END} on lines of their own",
        )
    return f"{before}{start_marker}\n{content.strip()}\n{README_END}{after}"


def update_document(path: str | Path, name: str, content: str) -> bool:
    """Rewrite the results in a document; False if it does not show this experiment.

    Raises:
        UserError: if it has the marker of the start but not that of the end.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if README_START.format(name) not in text:
        return False
    new = rewrite_between_markers(text, name, content, str(path))
    with atomic_write(path) as file:
        file.write(new)
    return True
