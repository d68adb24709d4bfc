"""Marks in transcripts of one's own corpus: ``[noise]``, ``<unk>``, ``{breath}``, ``((...))``.

What a mark stands for decides what becomes of it, and nothing inside of one becomes a word unless
it is certain that it was spoken:

- known ones (:mod:`espnet_otreg.data.known_marks`) are taken out and counted; ``<COMMA>`` becomes
  its punctuation, ``[laughter-yes]`` the word that was laughed, and of a partial word (``wor-``,
  ``wo[rd]-``) the spoken part stays;
- who speaks, as ``SPEAKER 1:`` or ``JOHN:`` before the words, is asked about; ``>>``, which says in
  captions that another speaks, goes;
- a remark in round brackets, which may or may not have been read, drops the utterance;
- of every other one, the user says in a file what it is
  (:func:`espnet_otreg.data.mark_rules.read_mark_rules`). Until then it is an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from espnet_otreg.data.known_marks import PUNCTUATION, content_of, is_known, is_sound
from espnet_otreg.data.mark_rules import BRACKETS, SPEAKER_LABEL, MarkRule, closing_bracket
from espnet_otreg.data.symbols import fold_forms

_LAUGHED = re.compile(r"\[(?:laughter|laughing)-(?P<word>[^\[\]]+)\]", re.IGNORECASE)
_SPECIAL_TOKEN = re.compile(r"<\|[^<>]*\|>")
_PARTIAL = re.compile(r"(?P<said>\w[\w']*)(?:\[[\w']+\])?-(?P<end>[.,?!]*)")
# Signs before a word, perhaps behind it: +noise+ *um* #noise %uh &-uh _laughs_ /noise/ !SIL
_SIGNED = re.compile(
    r"(?P<sign>\+{1,2}|\*{1,2}|[#%!/~=]|_{1,2}|&[-+]?)(?P<word>[^\W\d_][\w'-]*)(?P<behind>[+*/~=_]*)"
)
_EVENT = re.compile(r"&=\S+")  # of CHAT: &=laughs
_CHANGE = re.compile(r">{2,}\s*")  # of speakers, in captions
_UNTRANSCRIBED = ("xxx", "yyy")  # of CHAT
# ,COMMA and .PERIOD of WSJ, which were read aloud in one part of that corpus only.
_NAMED_PUNCTUATION = re.compile(
    r"[^\w\s]+(?:COMMA|PERIOD|POINT|(?:SEMI-)?COLON|QUESTION-MARK|EXCLAMATION-POINT|HYPHEN|DASH|"
    r"ELLIPSIS|SLASH|(?:DOUBLE-|SINGLE-|CLOSE-|UN)?QUOTE|(?:LEFT|RIGHT)-(?:PAREN|BRACE)|PERCENT|"
    r"AMPERSAND)"
)
_ALONE = {*BRACKETS, *BRACKETS.values()} - set("<>()")  # "a)" and "a > b" are no marks
_SINGLE_BRACKET = re.compile(f"[{re.escape(''.join(sorted(_ALONE)))}]|<\\w|\\w>")
# Most transcripts: words, and behind them the marks of sentences.
_PLAIN = re.compile(r"(?:[^\W_]|\s|(?<=\w)[.,?!;:'’](?!\w)|(?<=\w)['’](?=\w))*")
_SENTENCE_MARKS = ".,?!;:…"


@dataclasses.dataclass(frozen=True)
class Marked:
    """A transcript without its marks.

    Attributes:
        text: what is left to read.
        done: what has become of each mark, as ``"[noise] removed"``.
        unknown: marks without a rule or a known meaning.
        drop: a key of :data:`espnet_otreg.data.transcripts.DROP_REASONS`, or None.
    """

    text: str
    done: tuple[str, ...]
    unknown: tuple[str, ...]
    drop: str | None


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and whether a piece is a group in brackets."""
    begin = place = 0
    while place < len(text):
        end = -1
        # "a < b" is a symbol, "a <b>" a mark; "th[at]-" is read as a word.
        if text[place] in BRACKETS and text[place : place + 2] not in ("<", "< "):
            end = closing_bracket(text, place)
        if end < 0 or (text[place - 1 : place].isalnum() and text[end + 1 : end + 2] == "-"):
            place += 1
            continue
        yield text[begin:place], False
        yield text[place : end + 1], True
        begin = place = end + 1
    yield text[begin:], False


class _Reader:
    """Takes the marks out of one transcript and keeps account of them."""

    def __init__(self, rules: Sequence[MarkRule]) -> None:
        self.rules = rules
        self.done: list[str] = []
        self.unknown: list[str] = []
        self.drop: str | None = None

    def read(self, text: str) -> str:
        """The text without its marks."""
        return "".join(
            f" {self._bracketed(piece)} "
            if is_group
            else re.sub(r"\S+", lambda match: self._word(match.group()), piece)
            for piece, is_group in _pieces(text)
        )

    def read_speaker(self, text: str) -> str:
        """The text without what says at its beginning who speaks."""
        if change := _CHANGE.match(text):
            sign, text = change.group().strip(), text[change.end() :]
            ruled = self._by_rule(sign)
            if ruled:
                return f"{ruled} {text}"
            if ruled is None:
                self.done.append(f"{sign} removed")
        label = SPEAKER_LABEL.match(text)
        if label is None or not (label["role"] or any(map(str.islower, text))):
            return text
        ruled = self._by_rule(label.group())
        if ruled is None:
            self.unknown.append(label.group())
        return f"{ruled or ''} {text[label.end() :]}"

    def _note(self, what: str, instead: str = "") -> str:
        self.done.append(what)
        return instead

    def _by_rule(self, mark: str) -> str | None:
        """What the user's file puts in the place of a mark; None if it does not name it."""
        rule = next((rule for rule in self.rules if rule.fits(mark)), None)
        if rule is None:
            return None
        if rule.action == "drop":
            self.drop = self.drop or "mark"
            return ""
        if rule.action == "word":
            return self._note(f"{mark} read as '{rule.text}'", rule.text)
        if rule.action == "keep":
            inside = re.sub(r"^[\W_]+|[\W_]+$", "", mark)
            return self._note(f"{mark} kept", self.read(inside) if inside != mark else mark)
        return self._note(f"{mark} removed")

    def _bracketed(self, mark: str) -> str:
        """What is read in the place of a group in brackets."""
        ruled = self._by_rule(mark)
        if ruled is not None:
            return ruled
        if laughed := _LAUGHED.fullmatch(mark):
            return self._note("[laughter-WORD] read as the word", self.read(laughed["word"]))
        if _SPECIAL_TOKEN.fullmatch(mark):
            return self._note("<|...|> removed")
        remark = mark[0] == "(" and not mark.startswith("((")
        sign = PUNCTUATION.get(content_of(mark))
        if sign and not remark:
            return self._note(f"{mark} read as '{sign}'", sign)
        if is_known(mark):
            return self._note(f"{mark} removed")
        if remark:
            self.drop = self.drop or "note"
        else:
            self.unknown.append(mark)
        return ""

    def _word(self, word: str) -> str:
        """What is read in the place of a word outside of brackets."""
        bare = word.rstrip(_SENTENCE_MARKS)
        for form in dict.fromkeys((word, bare)):
            ruled = self._by_rule(form)
            if ruled is not None:
                return ruled
        signed = _SIGNED.fullmatch(bare)
        known_sound = signed is not None and is_sound(content_of(signed["word"]))
        if known_sound or bare in _UNTRANSCRIBED or _EVENT.fullmatch(bare):
            return self._note(f"{bare} removed")
        if partial := _PARTIAL.fullmatch(word):
            return self._note("WOR- kept as far as it is spoken", partial["said"] + partial["end"])
        # "#one" and "+one" are symbols, and drop their utterance.
        is_shaped = signed is not None and (
            (signed["sign"][0] in "+*" and signed["behind"] == signed["sign"])
            or signed["sign"][0] in "%&"
        )
        if (
            is_shaped
            or bare.casefold() in _UNTRANSCRIBED
            or _SINGLE_BRACKET.search(word)
            or _NAMED_PUNCTUATION.fullmatch(word)
        ):
            self.unknown.append(word)
        return word


def _has_untranscribed(text: str) -> bool:
    lowered = text.casefold()
    return any(mark in lowered for mark in _UNTRANSCRIBED)


def take_marks(text: str, rules: Sequence[MarkRule] = ()) -> Marked:
    """A transcript without its marks, and what has become of them.

    Args:
        text: as it was written.
        rules: what the user says of marks; the first that fits decides, before the known ones.

    >>> take_marks("Go [noise] on<COMMA> <unk>").text, take_marks("a ((so)) b").unknown
    ('Go on ,', ('((so))',))
    >>> take_marks("so (not read)").drop
    'note'
    >>> take_marks("[door] on", [MarkRule("[door]", "remove")]).done
    ('[door] removed',)
    """
    folded = fold_forms(text)
    is_plain = _PLAIN.fullmatch(folded) and not SPEAKER_LABEL.match(folded.lstrip())
    if not rules and is_plain and not _has_untranscribed(folded):
        return Marked(" ".join(folded.split()), (), (), None)
    reader = _Reader(rules)
    read = reader.read(reader.read_speaker(folded.lstrip()))
    return Marked(" ".join(read.split()), tuple(reader.done), tuple(reader.unknown), reader.drop)
