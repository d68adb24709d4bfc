"""The corpora by name: a row here is all that a new ``prepare_x`` needs.

Those of :data:`CORPORA` have no sets of their own and are split by the house; those of
:data:`PUBLISHED` come with their publisher's. Another package brings one of the latter by an entry
point of the group ``espnet_otreg.corpora``, which names a :class:`PublishedCorpus`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from espnet_otreg.data import commonvoice, fleurs, librispeech, mls, voxpopuli
from espnet_otreg.data.amazon_queen import prepare_amazon_queen
from espnet_otreg.data.core_sounds import prepare_core_sounds
from espnet_otreg.data.drascula import prepare_drascula
from espnet_otreg.data.festvox_ru import prepare_festvox_ru
from espnet_otreg.data.menardi import prepare_menardi
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.publishers import LICENCES
from espnet_otreg.data.synthetic import ESPEAK, PICO, prepare_synthetic
from espnet_otreg.data.tuxpaint import prepare_tuxpaint
from espnet_otreg.errors import UserError

ENTRY_POINT_GROUP = "espnet_otreg.corpora"

Prepare = Callable[[str | Path, str | Path, str], PrepLog]
PrepareSubset = Callable[[str | Path, str | Path, str, str, int], PrepLog]

CORPORA: dict[str, Prepare] = {
    "core_sounds": prepare_core_sounds,
    "drascula": prepare_drascula,
    "tuxpaint": prepare_tuxpaint,
    "festvox_ru": prepare_festvox_ru,
    "amazon_queen": prepare_amazon_queen,
    "menardi": prepare_menardi,
    "pico_synthetic": partial(prepare_synthetic, PICO),
    "espeak_synthetic": partial(prepare_synthetic, ESPEAK),
}


@dataclasses.dataclass(frozen=True)
class PublishedCorpus:
    """A corpus whose publisher divides it.

    Attributes:
        prepare: makes a data directory; takes directory of the corpus, of the output, language,
            subset and number of processes.
        languages: canonical codes; None where they change with each release.
        subsets: the publisher's sets.
        licence: and whom to name.
    """

    prepare: PrepareSubset
    languages: Collection[str] | None
    subsets: Collection[str]
    licence: str = "ask its publisher for the licence"

    def has(self, language: str) -> bool:
        """Whether the corpus may have a language, given by its canonical code."""
        return self.languages is None or language in self.languages


PUBLISHED: dict[str, PublishedCorpus] = {
    "commonvoice": PublishedCorpus(
        commonvoice.prepare_commonvoice, None, commonvoice.SUBSETS, LICENCES["commonvoice"]
    ),
    "fleurs": PublishedCorpus(
        fleurs.prepare_fleurs, fleurs.LANGUAGES, fleurs.SUBSETS, LICENCES["fleurs"]
    ),
    "librispeech": PublishedCorpus(
        librispeech.prepare_librispeech,
        librispeech.LANGUAGES,
        librispeech.SUBSETS,
        LICENCES["librispeech"],
    ),
    "mls": PublishedCorpus(mls.prepare_mls, mls.LANGUAGES, mls.SUBSETS, LICENCES["mls"]),
    "voxpopuli": PublishedCorpus(
        voxpopuli.prepare_voxpopuli, voxpopuli.LANGUAGES, voxpopuli.SUBSETS, LICENCES["voxpopuli"]
    ),
}


def published_corpora() -> dict[str, PublishedCorpus]:
    """All corpora with sets of their own: ours, and those of other packages.

    Raises:
        UserError: if another package brings something else, or takes a name.
    """
    found = dict(PUBLISHED)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        where = f"entry point {point.name} of {ENTRY_POINT_GROUP}"
        try:
            corpus = point.load()
        except Exception as error:  # whatever that package does at import
            raise UserError(f"cannot be loaded: {error}", where, "mend or remove it") from error
        if not isinstance(corpus, PublishedCorpus):
            raise UserError(f"{point.value} is no PublishedCorpus", where, "mend or remove it")
        if point.name in (*found, *CORPORA):
            raise UserError("there is a corpus of that name already", where, "rename it")
        found[point.name] = corpus
    return found
