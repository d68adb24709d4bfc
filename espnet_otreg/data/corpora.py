"""The corpora by name: a row here is all that a new ``prepare_x`` needs.

Those of :data:`CORPORA` have no sets of their own and are split by the house; those of
:data:`PUBLISHED` come with their publisher's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from espnet_otreg.data import commonvoice, fleurs, librispeech, mls, voxpopuli
from espnet_otreg.data.core_sounds import prepare_core_sounds
from espnet_otreg.data.drascula import prepare_drascula
from espnet_otreg.data.festvox_ru import prepare_festvox_ru
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.synthetic import ESPEAK, PICO, prepare_synthetic
from espnet_otreg.data.tuxpaint import prepare_tuxpaint

Prepare = Callable[[str | Path, str | Path, str], PrepLog]
PrepareSubset = Callable[[str | Path, str | Path, str, str, int], PrepLog]

CORPORA: dict[str, Prepare] = {
    "core_sounds": prepare_core_sounds,
    "drascula": prepare_drascula,
    "tuxpaint": prepare_tuxpaint,
    "festvox_ru": prepare_festvox_ru,
    "pico_synthetic": partial(prepare_synthetic, PICO),
    "espeak_synthetic": partial(prepare_synthetic, ESPEAK),
}


@dataclasses.dataclass(frozen=True)
class PublishedCorpus:
    """A corpus whose publisher divides it: the function, the languages and the subsets.

    ``languages`` is None where they change with each release.
    """

    prepare: PrepareSubset
    languages: Collection[str] | None
    subsets: Collection[str]

    def has(self, language: str) -> bool:
        """Whether the corpus may have a language, given by its canonical code."""
        return self.languages is None or language in self.languages


PUBLISHED: dict[str, PublishedCorpus] = {
    "commonvoice": PublishedCorpus(commonvoice.prepare_commonvoice, None, commonvoice.SUBSETS),
    "fleurs": PublishedCorpus(fleurs.prepare_fleurs, fleurs.LANGUAGES, fleurs.SUBSETS),
    "librispeech": PublishedCorpus(
        librispeech.prepare_librispeech, librispeech.LANGUAGES, librispeech.SUBSETS
    ),
    "mls": PublishedCorpus(mls.prepare_mls, mls.LANGUAGES, mls.SUBSETS),
    "voxpopuli": PublishedCorpus(
        voxpopuli.prepare_voxpopuli, voxpopuli.LANGUAGES, voxpopuli.SUBSETS
    ),
}
