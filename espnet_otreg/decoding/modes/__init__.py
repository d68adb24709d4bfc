"""Ways of decoding, one file each: options, title, needs, and how.

Importing this package imports no torch; decoding does. Another package adds a mode by an entry
point of the group ``espnet_otreg.decoding_modes``.
"""

from espnet_otreg.decoding.modes.base import (
    DEVELOPMENT,
    PROMPT,
    READOUT,
    SAMPLES,
    Found,
    Mode,
    Option,
    ReadsPrompt,
    Samples,
    Searches,
    option,
)
from espnet_otreg.decoding.modes.ctc import CTC
from espnet_otreg.decoding.modes.ctc_ngram import CTCNGram
from espnet_otreg.decoding.modes.joint import Joint
from espnet_otreg.decoding.modes.llm import LLM
from espnet_otreg.decoding.modes.llm_no_speech import LLMNoSpeech
from espnet_otreg.decoding.modes.llm_shuffled import LLMShuffled
from espnet_otreg.decoding.modes.registry import (
    MODES,
    configure_modes,
    known_modes,
    mode_options,
    without_effect,
)
from espnet_otreg.decoding.modes.sample import Sample

__all__ = [
    "CTC",
    "CTCNGram",
    "DEVELOPMENT",
    "LLM",
    "MODES",
    "PROMPT",
    "READOUT",
    "SAMPLES",
    "Found",
    "Joint",
    "LLMNoSpeech",
    "LLMShuffled",
    "Mode",
    "Option",
    "ReadsPrompt",
    "Sample",
    "Samples",
    "Searches",
    "configure_modes",
    "known_modes",
    "mode_options",
    "option",
    "without_effect",
]
