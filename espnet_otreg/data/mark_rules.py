"""The user's rules for marks in transcripts: the file of ``--marks``."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path

from espnet_otreg.data.symbols import fold_forms
from espnet_otreg.errors import UserError
from espnet_otreg.utf8 import read_utf8, visible

ACTIONS = ("remove", "keep", "drop", "word")
# All but those that are quotation marks somewhere: 「」 『』 〈〉 《》.
_PAIRS = "[]{}<>()【】〔〕〖〗〘〙〚〛⟦⟧⟨⟩⟪⟫⟬⟭⁅⁆❬❭❰❱❲❳❴❵⦃⦄⦋⦌⦗⦘"
BRACKETS = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))
# "SPEAKER_00:", "Interviewer:", and in capitals any name; "Note: ..." is read aloud.
SPEAKER_LABEL = re.compile(
    r"(?:(?P<role>(?i:speaker|spkr?|interviewe[re]|moderator|narrator|caller|operator|agent)"
    r"[ _-]?\w{0,3})|[A-ZА-ЯЁ](?:[A-ZА-ЯЁ .'-]*[A-ZА-ЯЁ])?[0-9]{0,2}):(?=\s)"
)


@dataclasses.dataclass(frozen=True)
class MarkRule:
    """A rule of the user for a mark.

    Attributes:
        mark: as it stands in the transcripts; ``*`` is any characters, case does not count.
        action: ``remove`` it, ``keep`` what is inside, ``drop`` the utterance, or put a ``word``.
        text: of ``word``.
    """

    mark: str
    action: str
    text: str = ""

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = map(re.escape, fold_forms(self.mark).casefold().split("*"))
        return re.compile(".*".join(parts), re.DOTALL)

    def fits(self, mark: str) -> bool:
        """Whether the rule speaks of this mark.

        >>> MarkRule("[door*]", "remove").fits("[Door slam]")
        True
        """
        return self._pattern.fullmatch(mark.casefold()) is not None


def closing_bracket(text: str, start: int) -> int:
    """Where the bracket that opens at ``start`` closes, -1 if nowhere.

    >>> closing_bracket("a [b [c] d] e", 2), closing_bracket("[b", 0)
    (10, -1)
    """
    opening, closing = text[start], BRACKETS[text[start]]
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == opening) - (text[place] == closing)
        if depth == 0:
            return place
    return -1


def _split_rule(line: str) -> tuple[str, str]:
    """The mark that a line begins with, blanks inside of its brackets included, and the rest."""
    if label := SPEAKER_LABEL.match(line):
        return label.group(), line[label.end() :].strip()
    end = closing_bracket(line, 0) if line[0] in BRACKETS else -1
    behind = re.search(r"\s", line[end + 1 :])
    cut = end + 1 + behind.start() if behind else len(line)
    return line[:cut], line[cut:].strip()


def read_mark_rules(path: str | Path) -> list[MarkRule]:
    """The rules of a file, one a line: ``MARK remove``, ``keep``, ``drop`` or ``word TEXT``.

    Empty lines and those that begin with a number sign and a space say nothing.

    Raises:
        UserError: with every line that is not understood.
        OSError: if the file cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "marks"
    >>> _ = path.write_text("# ours\\n[door slam] remove\\n<UH> word uh\\n")
    >>> read_mark_rules(path)[1]
    MarkRule(mark='<UH>', action='word', text='uh')
    """
    rules: dict[str, MarkRule] = {}
    errors = []
    for number, raw in enumerate(read_utf8(path).split("\n"), start=1):
        line = raw.strip()
        if not line or line == "#" or line.startswith("# "):
            continue
        mark, rest = _split_rule(line)
        action, *text = rest.split(maxsplit=1)[:2] or [""]
        where = f"{path}:{number}"
        if action not in ACTIONS or bool(text) != (action == "word"):
            errors.append(
                f"{where}: '{visible(line)}' is not understood; "
                "write the mark, a space, and remove, keep, drop or word TEXT"
            )
        elif not mark.strip("*"):
            errors.append(f"{where}: '{mark}' would be every word; write the mark itself")
        elif mark.casefold() in rules:
            errors.append(f"{where}: '{mark}' comes twice; remove one of the two lines")
        else:
            rules[mark.casefold()] = MarkRule(mark, action, "".join(text))
    if errors:
        raise UserError(" | ".join(errors))
    return list(rules.values())
