"""Counts of resampled, mixed and clipped recordings, reported once in a run."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

KINDS = ("rate", "channels", "clipped")


@dataclass
class Conversions:
    """Counts the recordings that had another rate, several channels or a level beyond full scale.

    >>> seen = Conversions()
    >>> seen.note(8000, 16000, 1, "a.wav")
    >>> seen.note(44100, 16000, 2, "b.wav")
    >>> for sentence in seen.sentences():
    ...     print(sentence)
    2 recordings of 8000, 44100 Hz are resampled to 16000 Hz, for instance a.wav
    1 recording of 2 channels is mixed to one, for instance b.wav
    >>> seen.note_clipped("c.ogg")
    >>> print(seen.by_kind()["clipped"])
    1 recording of a lossy coding goes beyond full scale and is clipped, for instance c.ogg
    """

    _rates: dict[int, int] = field(default_factory=dict)
    _channels: dict[int, int] = field(default_factory=dict)
    _resampled: tuple[str, int] | None = None
    _mixed: str | None = None
    _clipped: list[str] = field(default_factory=list)

    def note(self, rate: int, wanted: int | None, channels: int, name: str) -> None:
        """Count a recording.

        Args:
            rate, channels: what it has.
            wanted: the rate that it is given; None if it keeps its own.
            name: for the example.
        """
        if wanted not in (None, rate):
            self._rates[rate] = self._rates.get(rate, 0) + 1
            self._resampled = self._resampled or (name, wanted or 0)
        if channels > 1:
            self._channels[channels] = self._channels.get(channels, 0) + 1
            self._mixed = self._mixed or name

    def note_clipped(self, name: str) -> None:
        """Count a recording of a lossy coding that went beyond full scale."""
        self._clipped.append(name)

    def add(self, other: Conversions) -> None:
        """Count what another process has counted, too."""
        for own, more in ((self._rates, other._rates), (self._channels, other._channels)):
            for key, count in more.items():
                own[key] = own.get(key, 0) + count
        self._resampled = self._resampled or other._resampled
        self._mixed = self._mixed or other._mixed
        self._clipped += other._clipped

    def sentences(self) -> list[str]:
        """One sentence for what was resampled, one for what was mixed, one for what was clipped."""
        return list(self.by_kind().values())

    def by_kind(self) -> dict[str, str]:
        """The sentences, by ``"rate"``, ``"channels"`` and ``"clipped"``."""
        sentences = {}
        if self._resampled is not None:
            name, wanted = self._resampled
            sentences["rate"] = (
                f"{_recordings(self._rates)} Hz {_are(self._rates)} resampled to {wanted} Hz, "
                f"for instance {name}"
            )
        if self._mixed is not None:
            sentences["channels"] = (
                f"{_recordings(self._channels)} channels {_are(self._channels)} mixed to one, "
                f"for instance {self._mixed}"
            )
        if self._clipped:
            count = len(self._clipped)
            sentences["clipped"] = (
                f"{count} recording{'s' * (count > 1)} of a lossy coding "
                f"{'go' if count > 1 else 'goes'} beyond full scale and "
                f"{'are' if count > 1 else 'is'} clipped, for instance {self._clipped[0]}"
            )
        return sentences

    def say(self) -> None:
        """Print the sentences on standard error, and begin to count anew."""
        for sentence in self.sentences():
            print(sentence, file=sys.stderr, flush=True)
        self.clear()

    def clear(self) -> None:
        """Begin to count anew."""
        self._rates, self._channels, self._resampled, self._mixed = {}, {}, None, None
        self._clipped = []


CONVERSIONS = Conversions()  # of this process, as far as no other counter is given


def _recordings(counts: dict[int, int]) -> str:
    count = sum(counts.values())
    return f"{count} recording{'s' * (count > 1)} of {', '.join(map(str, sorted(counts)))}"


def _are(counts: dict[int, int]) -> str:
    return "are" if sum(counts.values()) > 1 else "is"
