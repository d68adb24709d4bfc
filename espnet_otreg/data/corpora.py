"""The corpora by name: a row here is all that a new ``prepare_x`` needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from espnet_otreg.data.core_sounds import prepare_core_sounds
from espnet_otreg.data.drascula import prepare_drascula
from espnet_otreg.data.festvox_ru import prepare_festvox_ru
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.synthetic import ESPEAK, PICO, prepare_synthetic
from espnet_otreg.data.tuxpaint import prepare_tuxpaint

Prepare = Callable[[str | Path, str | Path, str], PrepLog]

CORPORA: dict[str, Prepare] = {
    "core_sounds": prepare_core_sounds,
    "drascula": prepare_drascula,
    "tuxpaint": prepare_tuxpaint,
    "festvox_ru": prepare_festvox_ru,
    "pico_synthetic": partial(prepare_synthetic, PICO),
    "espeak_synthetic": partial(prepare_synthetic, ESPEAK),
}
