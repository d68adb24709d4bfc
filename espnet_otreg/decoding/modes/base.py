"""The base class of decoding modes, and the options that several of them read.

Nothing here imports torch: the command line, the recipe and the report ask modes for their
options, needs and titles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from espnet_otreg.arguments import checked
from espnet_otreg.ranges import SEED, Range, range_errors

if TYPE_CHECKING:
    from espnet_otreg.decoding.context import DecodingContext
    from espnet_otreg.decoding.data import DataSet
    from espnet_otreg.decoding.encoded import EncodedSpeech
    from espnet_otreg.decoding.hypothesis import Hypothesis
    from espnet_otreg.decoding.parts import Merged


Found = Sequence[Sequence[Any]]  # utterance -> hypotheses or candidates

# What a mode may need.
PROMPT = "prompt"  # a language for each utterance, where the model's prompt depends on it
READOUT = "readout"  # the projector's CTC read-out
SAMPLES = "samples"  # --num_samples of 1 or more
DEVELOPMENT = "development set"  # one that is decoded, too, if --..._dev names it

_OPTION = "espnet_otreg.option"


@dataclass(frozen=True)
class Option:
    """An option of a mode, as the command line offers it.

    Attributes:
        default: its value if nobody gives one.
        help: what it is, in a few words.
        allowed: the numbers that it may be; None for a text.
        when_done: it is read when everything is decoded, and changes no part of the work.
        alternatives: a name shared by options of which only one may be given.
    """

    default: Any
    help: str
    allowed: Range | None = None
    when_done: bool = False
    alternatives: str | None = None

    @property
    def read(self) -> Callable[[str], Any]:
        """From a word of a command line to its value, in the range or not (``type`` of argparse).

        >>> Option(1, "width", Range(1, 9, whole=True)).read("12")
        12
        """
        return str if self.allowed is None else self.allowed.read


@checked
def option(
    default: Any,
    help: str,
    allowed: Range | None = None,
    *,
    when_done: bool = False,
    alternatives: str | None = None,
) -> Any:
    """A field of a mode that is an :class:`Option`.

    >>> @dataclass(frozen=True)
    ... class Slow(Mode):
    ...     patience: int = option(3, "seconds", Range(1, 60, whole=True))
    >>> Slow.options()["patience"].default, Slow(patience=0).validate()
    (3, ['patience: expected a whole number from 1 to 60, found 0'])
    """
    about = Option(default, help, allowed, when_done, alternatives)
    return field(default=default, metadata={_OPTION: about})


Self = TypeVar("Self", bound="Mode")


@dataclass(frozen=True)
class Mode:
    """A way of decoding. Derive from it, make the options fields, override :meth:`run`.

    Attributes:
        title: in tables.
        summary: in the help of the command line.
        floor: whether it shows how much the LLM would say without hearing the utterance.
        needs: some of :data:`PROMPT`, :data:`READOUT`, :data:`SAMPLES`, :data:`DEVELOPMENT`.
        source: the mode whose finished parts it takes instead of decoding anything itself; its
            class derives from that mode's.
    """

    title: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    floor: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    source: ClassVar[str | None] = None

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Its options by name.

        Raises:
            TypeError: if a field is none.
        """
        found = {}
        for f in fields(cls):
            if _OPTION not in f.metadata or f.default is MISSING:
                raise TypeError(f"{cls.__qualname__}.{f.name}: make it with option()")
            found[f.name] = f.metadata[_OPTION]
        return found

    def validate(self) -> list[str]:
        """Every mistake in the values, as ``option: message``."""
        ranges = {name: o.allowed for name, o in self.options().items() if o.allowed is not None}
        return range_errors(vars(self), ranges)

    def lacks(self) -> list[str]:
        """What has to be given beside the mode's name and is not."""
        return []

    def ignored(self) -> dict[str, str]:
        """Options that change nothing beside the others, with the words that follow "has no
        effect"."""
        return {}

    def decoding_options(self) -> dict[str, Any]:
        """The values that decide what is decoded: those of parts that can be kept."""
        known = self.options()
        return {name: value for name, value in vars(self).items() if not known[name].when_done}

    def run(self, context: DecodingContext, batch: EncodedSpeech) -> Found:
        """Decode some utterances.

        Args:
            context: the model, and what decoding with it has in common.
            batch: the utterances, encoded; what several modes read is computed once.

        Returns:
            For each utterance its :class:`Hypothesis` objects, best first; or
            :class:`Candidate` objects in no order, for a mode that chooses among them in
            :meth:`ranked`.
        """
        raise TypeError(f"{type(self).__qualname__}: a mode defines run()")

    def ranked(self, found: Sequence[Any]) -> list[Hypothesis]:
        """What :meth:`run` has found of one utterance as hypotheses, best first."""
        return list(found)

    def check_sets(self, sets: Sequence[DataSet]) -> None:
        """Find mistakes in what is to be decoded, before anything is.

        Raises:
            UserError: for the first one.
        """

    def prepare(
        self: Self, sets: Sequence[DataSet], decode: Callable[[Self, DataSet], Merged]
    ) -> Self:
        """The mode with what it has to find out before anything else is decoded.

        Args:
            sets: that will be decoded.
            decode: gives what a mode of this class finds in one of them; finished parts are kept.
        """
        return self

    def when_done(
        self: Self, sets: Sequence[DataSet], read: Callable[[DataSet], Merged], output: Path
    ) -> Self:
        """The mode with what only all hypotheses can tell, when everything is decoded.

        Args:
            sets: that were decoded.
            read: gives what this mode has found in one of them.
            output: where the results of all modes go.
        """
        return self

    def finish(self, merged: Merged, data: DataSet) -> Merged:
        """From what was found in a set, or by the mode :attr:`source`, to its results."""
        return merged

    def facts(self) -> Mapping[str, Any]:
        """What ``status.json`` says beside options and counts."""
        return {}


@dataclass(frozen=True)
class ReadsPrompt(Mode):
    """Options of all modes in which the LLM writes."""

    needs = frozenset({PROMPT})

    tokens_per_second: float = option(12.0, "length limit", Range(0, 1000))
    extra_tokens: int = option(10, "added to the limit", Range(1, 100_000, whole=True))


@dataclass(frozen=True)
class Searches(ReadsPrompt):
    """Options of modes that search for the likeliest tokens."""

    num_beams: int = option(1, "1 is greedy; more: n-best", Range(1, 1000, whole=True))


@dataclass(frozen=True)
class Samples(ReadsPrompt):
    """Options of modes that draw from the LLM's distribution."""

    num_samples: int = option(0, "of the LLM", Range(0, 1000, whole=True))
    temperature: float = option(1.0, "of sampling", Range(0.01, 100))
    seed: int = option(0, "of sampling", SEED)
