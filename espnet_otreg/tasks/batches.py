"""Batches of like lengths whose utterances do not meet the same ones in every epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from espnet2.fileio.read_text import load_num_sequence_text
from espnet2.iterators.sequence_iter_factory import SequenceIterFactory
from espnet2.samplers.abs_sampler import AbsSampler

Batch = tuple[str, ...]


class RedrawnBatches(AbsSampler):
    """The sizes of ESPnet's batches, filled anew for every pass over the data.

    ESPnet sorts by length once, so that in every epoch the same utterances make a batch, and their
    gradients are added up again and again. Here each pass multiplies every length by a random
    number near 1, sorts, and cuts the row into batches of the sizes that ESPnet has found.

    Args:
        batches: of ESPnet, in any order.
        lengths: of all utterances.
        jitter: the numbers are drawn from 1 - jitter to 1 + jitter.

    >>> lengths = {name: 50 + n for n, name in enumerate("abcdef")}
    >>> sampler = RedrawnBatches([("b", "a"), ("f", "e", "d", "c")], lengths, 0.2)
    >>> sampler.generate(1)
    [('e', 'c'), ('f', 'd', 'b', 'a')]
    >>> sampler.generate(2) == sampler.generate(1), sampler.generate(1) == sampler.generate(1)
    (False, True)
    """

    def __init__(
        self, batches: Sequence[Sequence[str]], lengths: Mapping[str, int], jitter: float
    ) -> None:
        mean = {
            batch: sum(lengths[key] for key in batch) / len(batch) for batch in map(tuple, batches)
        }
        self.batches = sorted(mean, key=mean.__getitem__)
        self.keys = sorted(itertools.chain.from_iterable(batches), key=lambda k: (lengths[k], k))
        self.lengths = np.array([lengths[key] for key in self.keys], dtype=float)
        self.jitter = jitter

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def generate(self, seed: int) -> list[Batch]:
        """The batches of one pass, from short to long, in each the longest utterance first."""
        generator = np.random.default_rng(seed)
        factors = generator.uniform(1 - self.jitter, 1 + self.jitter, len(self.keys))
        places = iter(np.argsort(self.lengths * factors, kind="stable"))
        drawn = []
        for batch in self.batches:
            chosen = sorted(itertools.islice(places, len(batch)), reverse=True)
            drawn.append(tuple(self.keys[place] for place in chosen))
        return drawn


def redraw_batches(factory: SequenceIterFactory, shape_file: str, jitter: float) -> None:
    """Let an iterator factory fill its batches anew in every pass, see :class:`RedrawnBatches`.

    Args:
        factory: of ESPnet; is changed.
        shape_file: lengths of the utterances.
        jitter: see :class:`RedrawnBatches`.
    """
    shapes = load_num_sequence_text(shape_file, loader_type="csv_int")
    lengths = {key: int(shape[0]) for key, shape in shapes.items()}
    factory.sampler = RedrawnBatches(list(factory.sampler), lengths, jitter)
