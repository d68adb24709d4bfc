"""The part of the training speech that a run sees; smaller parts are inside of larger ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.config import did_you_mean, not_negative
from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.data.split import hash_share
from espnet_otreg.data.synthesis.catalogue import ENGINES
from espnet_otreg.errors import UserError

SYNTHETIC = "synthetic_"  # and the engine: the domain of speech made from text
_COPY = re.compile(r"aug[0-9]+_")


@dataclass(frozen=True)
class SpeechShare:
    """What a run sees (the key ``speech`` of ``experiment.yaml``).

    Attributes:
        real_share: of the recordings, from 0 to 1.
        synthetic_hours: of speech made from text; None for all.
        engines: those whose speech is seen; None for all.
    """

    real_share: float = 1.0
    synthetic_hours: float | None = None
    engines: tuple[str, ...] | None = None

    def validate(self) -> list[str]:
        """Messages about impossible values."""
        errors = not_negative(synthetic_hours=self.synthetic_hours or 0.0)
        if not 0 <= self.real_share <= 1:
            errors.append(f"real_share: must be from 0 to 1, found {self.real_share}")
        errors += [
            f"engines: no engine {name!r}; {did_you_mean(name, ENGINES)}"
            for name in self.engines or ()
            if name not in ENGINES
        ]
        if self.real_share == 0 and (self.synthetic_hours == 0 or self.engines == ()):
            errors.append("real_share: no speech is left")
        return errors


def select_speech(
    share: SpeechShare, domains: Mapping[str, str], seconds: Mapping[str, float]
) -> set[str]:
    """The utterances that a run sees. An augmented copy goes with its original.

    Args:
        share: how much of what.
        domains: of all utterances; speech made from text has ``synthetic_ENGINE``.
        seconds: their lengths.

    >>> domains = {"a": "read", "aug1_a": "read", "b": "read", "s": "synthetic_pico"}
    >>> lengths = dict.fromkeys(domains, 1800.0)
    >>> sorted(select_speech(SpeechShare(real_share=0.0), domains, lengths))
    ['s']
    >>> sorted(select_speech(SpeechShare(0.8, synthetic_hours=0.0), domains, lengths))
    ['a', 'aug1_a', 'b']
    """
    originals = {key: _COPY.sub("", key, count=1) for key in domains}
    originals = {key: first if first in domains else key for key, first in originals.items()}
    engines = {
        key: domain.removeprefix(SYNTHETIC)
        for key, domain in domains.items()
        if domain.startswith(SYNTHETIC)
    }
    chosen = {
        key
        for key, first in originals.items()
        if key not in engines and (share.real_share == 1.0 or hash_share(first) < share.real_share)
    }
    left = float("inf") if share.synthetic_hours is None else share.synthetic_hours * 3600
    spoken: set[str] = set()
    wanted = share.engines
    ids = {originals[k] for k, engine in engines.items() if wanted is None or engine in wanted}
    for key in sorted(ids, key=lambda key: (hash_share(key), key)):
        if left <= 0:
            break
        spoken.add(key)
        left -= seconds[key]
    return chosen | {key for key in engines if originals[key] in spoken}


def write_shapes(
    share: SpeechShare, data_dir: str | Path, shapes: Iterable[Path], output: str | Path
) -> tuple[int, int]:
    """Write shape files of the utterances that a run sees; ESPnet reads no others.

    Args:
        share: how much of what.
        data_dir: training features, with utt2domain and utt2dur.
        shapes: shape files of all utterances.
        output: directory for files of the same names.

    Returns:
        How many utterances are seen, and of how many.

    Raises:
        UserError: if none is left, or a table is missing.
    """
    data_dir = Path(data_dir)
    domains = read_table(data_dir / "utt2domain")
    seconds = {key: float(value) for key, value in read_table(data_dir / "utt2dur").items()}
    chosen = select_speech(share, domains, seconds)
    if not chosen:
        raise UserError("no training speech is left", str(data_dir), "give `speech` more of it")
    for path in shapes:
        table = read_table(path)
        write_table(Path(output) / path.name, {k: v for k, v in table.items() if k in chosen})
    return len(chosen), len(domains)
