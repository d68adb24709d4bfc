"""One file for each speech synthesiser; a new one is a row here and its voices."""

from espnet_otreg.data.synthesis.engines.base import Engine, Speech
from espnet_otreg.data.synthesis.engines.espeak import Espeak
from espnet_otreg.data.synthesis.engines.festival import Festival
from espnet_otreg.data.synthesis.engines.flite import Flite
from espnet_otreg.data.synthesis.engines.mbrola import Mbrola
from espnet_otreg.data.synthesis.engines.pico import Pico
from espnet_otreg.data.synthesis.engines.rhvoice import RHVoice

ENGINE_CLASSES: dict[str, type[Engine]] = {
    "pico": Pico,
    "espeak": Espeak,
    "flite": Flite,
    "festival": Festival,
    "rhvoice": RHVoice,
    "mbrola": Mbrola,
}

__all__ = ["ENGINE_CLASSES", "Engine", "Speech"]
